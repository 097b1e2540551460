"""Foreign files: metadata do not hide the tensors; code is refused and not run."""

from __future__ import annotations

import builtins
import collections
import io
import os
import pickle
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dmnet.errors import CheckpointError
from dmnet.importers import untrusted
from dmnet.importers.untrusted import Discarded, read_checkpoint

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "mmengine_checkpoint.pt"
PATH = Path("weights/model.pth")


def saved(content: Any, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def refused(content: bytes) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(content, PATH)
    line = str(caught.value)
    assert line.startswith(f"{PATH}: ") and "\n" not in line
    assert "weights_only" not in line  # no advice to read it unrestrictedly
    return line


def test_a_file_that_mmengine_wrote() -> None:
    """Recorded from mmengine 0.10.7: meta, weights, message hub, optimizer, schedulers."""
    held = read_checkpoint(GOLDEN.read_bytes(), GOLDEN)
    assert held["state_dict"]["weight"].tolist() == [[0, 1], [2, 3]]
    assert held["meta"]["iter"] == 40000
    assert held["meta"]["dataset_meta"]["classes"] == ("road", "sidewalk")
    assert type(held["message_hub"]["log_scalars"]["train/loss"]) is Discarded


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before PyTorch 1.6"])
def test_tensors_and_metadata_of_either_format(zipped: bool) -> None:
    content = {
        "state_dict": collections.OrderedDict(a=torch.arange(3.0)),
        "meta": {
            "CLASSES": ("a", "b"),
            "best": np.float64(1.5),
            "array": np.arange(3),
            "messages": collections.defaultdict(dict, last="a.pth"),
        },
    }
    held = read_checkpoint(saved(content, zipped), PATH)
    assert held["state_dict"]["a"].tolist() == [0, 1, 2]
    assert held["meta"]["CLASSES"] == ("a", "b") and held["meta"]["messages"] == {"last": "a.pth"}


class Calls:
    """Its pickle calls a function when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call

    def __call__(self) -> None: ...  # so that what it gives may be called in a pickle


ATTACKS = {
    "os.system": (os.system, "touch {}"),
    "subprocess": (subprocess.Popen, ["touch", "{}"]),
    "eval": (builtins.eval, "open('{}', 'w')"),
    "exec": (builtins.exec, "open('{}', 'w')"),
    "open": (builtins.open, "{}", "w"),
    "import": (builtins.__import__, "antigravity"),
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_is_refused_and_not_run(tmp_path: Path, name: str, form: str) -> None:
    target = tmp_path / "was-here"
    function, *arguments = ATTACKS[name]

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(entry) for entry in value]
        return value.format(target)

    content = {"meta": Calls(function, *map(filled, arguments)), "state_dict": {}}
    if form == "pickle":
        refused(pickle.dumps(content, protocol=2))
    else:
        assert "asks for `" in refused(saved(content, form == "zip"))
    assert not target.exists()


def test_the_name_getattr_is_answered_without_getting_anything() -> None:
    held = read_checkpoint(saved({"meta": Calls(getattr, "text", "upper")}), PATH)
    assert type(held["meta"]) is Discarded
    # What it gives cannot be called either: this would be getattr("text", "upper")().
    line = refused(saved({"meta": Calls(Calls(getattr, "text", "upper"))}))
    assert "Trying to call reduce for unrecognized function" in line


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_anywhere_is_refused(zipped: bool) -> None:
    content = saved({"state_dict": {"a": torch.randn(2000)}, "meta": {"iter": 1}}, zipped)
    for end in range(0, len(content) - 1, 97):
        refused(content[:end])


@pytest.mark.parametrize("content", [b"", b"<html>Not Found</html>", bytes(range(256)) * 8])
def test_no_checkpoint_at_all(content: bytes) -> None:
    assert "not a checkpoint" in refused(content)


def test_nothing_stays_allowed_afterwards() -> None:
    before = torch.serialization.get_safe_globals()
    read_checkpoint(saved({"meta": np.float64(1)}), PATH)
    refused(b"")
    assert torch.serialization.get_safe_globals() == before


def test_a_file_that_unpacks_to_more_than_stated_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorch reads compressed members, a thousand times smaller than what is in them."""
    plain = saved({"a": torch.zeros(100_000)})
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(plain)) as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    monkeypatch.setattr(untrusted, "MAX_BYTES", 100_000)
    assert len(packed.getvalue()) < 100_000
    assert "expected at most 100000" in refused(packed.getvalue())
