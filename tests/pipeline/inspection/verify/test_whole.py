"""A result is whole by its own manifest; whatever a manifest says instead is a line, no crash."""

from __future__ import annotations

import hashlib
import json

import pytest

from pipeline.inspection.verify import verify
from pipeline.inspection.verify.whole import damage

KEY = "0123456789abcdef"
RUN = f"runs/{KEY}"
HOSTILE = (
    None,
    7,
    [],
    [[]],
    {},
    "",
    "..",
    "\0",
    "x" * 5000,
    "\ud800",
    "\x1b[2J\n",
    -1e300,
    {"file": 7},
)


DATA = {"name": "a", "layout": "voc2012aug", "classes": 2, "ignore_index": 255, "label_map": {}}
PROTOCOL = {
    "data": {**DATA, "split": "val", "generate": None},
    "split": "val",
    "inference": {"mode": "whole"},
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    folder = tmp_path / RUN
    folder.mkdir(parents=True)
    manifest = {
        "key": KEY,
        "iterations": 7,
        "data_fingerprint": "f" * 64,
        "code": {"commit": "c" * 40, "modified": False},
        "environment": {"device": {"type": "cpu"}},
    }
    for name, file in (("weights", "weights.pt"), ("history", "history.jsonl")):
        (folder / file).write_bytes(name.encode())
        manifest[name] = {"file": file, "sha256": hashlib.sha256(name.encode()).hexdigest()}
    for name in ("train.json", "finished.json"):
        (folder / name).write_text(json.dumps(manifest))
    return tmp_path


def of_run(root):
    """What does not fit but for the configuration, which this run does not have."""
    return [line for line in damage([f"{RUN}/train.json"], root) if "config.json" not in line]


def test_what_the_manifest_names_is_whole_and_one_byte_less_is_damaged(root):
    assert of_run(root) == []
    (root / RUN / "weights.pt").write_bytes(b"weight")
    (line,) = of_run(root)
    assert line.startswith(f"{RUN}/weights.pt: expected SHA-256")


@pytest.mark.parametrize("place", ["key", "weights", "history", "weights.file", "weights.sha256"])
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_any_value_in_the_place_of_another_is_a_line(root, place, value):
    manifest = json.loads((root / RUN / "train.json").read_text())
    inner = manifest["weights"] if "." in place else manifest
    inner[place.rpartition(".")[2]] = value
    (root / RUN / "train.json").write_text(json.dumps(manifest))
    lines = of_run(root)
    assert lines and all(line.isprintable() for line in lines), lines


@pytest.mark.parametrize("text", ["", "7", "[]", '{"key": ', "[" * 100_000, "NaN", "\xff"])
@pytest.mark.parametrize(
    "path",
    [
        f"{RUN}/train.json",
        f"{RUN}/finished.json",
        f"{RUN}/config.json",
        f"{RUN}/evaluations/single-scale-val-1.json",
        f"predictions/{KEY}/a.json",
        f"counts/{KEY}.json",
    ],
)
def test_any_text_in_the_place_of_json_is_a_line(root, path, text, monkeypatch):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(text.encode("latin-1"))
    assert any(line.startswith(path) for line in damage([path], root))
    monkeypatch.chdir(root)
    assert any(line.startswith(path) for line in verify(quick=True).wrong)


def test_a_confusion_matrix_that_is_none_is_a_line(root):
    """Of any size and shape, as a colleague's file may have it."""
    path = f"{RUN}/evaluations/a-{'0' * 8}.json"
    result = {
        **{"run": KEY, "evaluation_hash": "0" * 64, "data_fingerprint": "f" * 64, "images": 2},
        **{"weights_sha256": hashlib.sha256(b"weights").hexdigest(), "evaluation": PROTOCOL},
        **{"miou": 0.5, "majority_class_miou": 0.5, "pixel_accuracy": 0.5, "per_class_iou": [0.5]},
    }
    (root / path).parent.mkdir()
    for matrix in ([], [[1], [2]], [[1, 2]], [[1, 2], [3]], [[]]):
        (root / path).write_text(json.dumps(result | {"confusion_matrix": matrix}))
        assert any("a row and a column per class" in line for line in damage([path], root)), matrix
    (root / path).write_text(json.dumps(result | {"confusion_matrix": [[2**62, 2**62], [1, 1]]}))
    assert any("miou by its confusion matrix" in line for line in damage([path], root))
