"""`predict`: label maps that are what `evaluate` counts, in files that are whole or absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dmnet.__main__ import main
from dmnet.config import DatasetConfig, EvaluationConfig, JobConfig
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.decode import read_label
from dmnet.data.manifest import Manifest
from dmnet.data.voc2012 import palette
from dmnet.errors import DataError
from dmnet.files import read_json, sha256_file, write_text
from dmnet.inference.evaluate import evaluate
from dmnet.inference.metrics import ConfusionMatrix
from dmnet.inference.predict import file_names
from dmnet.inference.trained import open_trained

Prepared = tuple[DatasetConfig, Path]
Predict = Callable[..., Path]


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    """The folder of the one run that this module trains."""
    return {}


@pytest.fixture
def run(
    trained: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    stripes_data: Prepared,
    make_job: Callable[..., JobConfig],
) -> Path:
    """runs/<key> on `stripes`: two validation images of 24x32 pixels, three classes."""
    if not trained:
        dataset, data = stripes_data
        job = make_job(dataset)
        folder = tmp_path_factory.mktemp("trained") / "runs" / job.run.key
        write_text(folder / "config.json", job.model_dump_json())
        assert main(["train", "--config", f"{folder}/config.json", "--data", str(data)]) == 0
        trained["run"] = folder
    return trained["run"]


@pytest.fixture
def predict(run: Path, stripes_data: Prepared, tmp_path: Path) -> Predict:
    """Run the command; keyword arguments change the evaluation. Returns the manifest's path."""

    def command(data: Path = stripes_data[1], **changes: Any) -> Path:
        output = tmp_path / "predictions" / run.name / "plain.json"
        values = settings(stripes_data[0], **changes)
        arguments = ["--run", run, "--config", json.dumps(values), "--data", data]
        assert main(["predict", *map(str, arguments), "--output", str(output)]) == 0
        return output

    return command


def settings(dataset: DatasetConfig, **changes: Any) -> dict[str, Any]:
    identity = dataset.identity.model_dump(mode="json")
    return {"inference": {"mode": "whole"}, "split": "val", "data": identity, **changes}


@pytest.mark.parametrize("inference", [{}, {"flip": True, "scales": [0.5, 1.0]}], ids=str)
def test_the_label_maps_are_what_evaluate_counts(
    predict: Predict, run: Path, stripes_data: Prepared, inference: dict[str, Any]
) -> None:
    dataset, data = stripes_data
    output = predict(inference=inference)
    config = EvaluationConfig.model_validate(settings(dataset, inference=inference))
    opened = open_trained(run, config, data)
    expected = evaluate(
        opened.model, opened.dataset, opened.job.run.recipe, config.inference, opened.device
    )
    counted = ConfusionMatrix.empty(3)
    for index, (image, _) in enumerate(opened.dataset.pairs):
        labels = read_label(output.with_suffix("") / f"{image.stem}.png")
        assert labels.shape == (24, 32)
        truth = opened.dataset.read(index)[1]
        counted.add(torch.from_numpy(labels.astype(np.int64)), truth, 255)
    assert np.array_equal(counted.counts, expected.counts)


def test_the_manifest_names_the_origin_and_every_file(
    predict: Predict, run: Path, stripes_data: Prepared
) -> None:
    output = predict()
    manifest = read_json(output)
    assert manifest["run"] == run.name
    assert manifest["weights_sha256"] == sha256_file(run / "weights.pt")
    assert manifest["data_fingerprint"] == Manifest.load(stripes_data[1]).fingerprint
    assert sorted(manifest["files"]) == ["0.png", "1.png"]
    folder = output.parent / manifest["folder"]
    for name, digest in manifest["files"].items():
        assert sha256_file(folder / name) == digest
        assert Image.open(folder / name).getpalette() == palette()


def test_twice_the_same_bytes_and_nothing_beside_them(predict: Predict) -> None:
    output = predict()
    first = output.read_bytes()
    stale = output.with_suffix("") / "of-an-earlier-split.png"
    stale.touch()
    (output.parent / ".plain.tmp").mkdir()  # what a killed process leaves
    assert predict().read_bytes() == first
    assert not stale.exists()
    assert sorted(path.name for path in output.parent.iterdir()) == ["plain", "plain.json"]


def test_label_maps_have_the_size_on_disk_when_images_are_shrunk(predict: Predict) -> None:
    """Computed at 12x16, as `evaluate` does, then every label stands for 2x2 pixels."""
    labels = read_label(predict(load_scale=0.5).with_suffix("") / "0.png")
    assert labels.shape == (24, 32)
    assert np.array_equal(labels, labels[::2, ::2].repeat(2, 0).repeat(2, 1))


def test_labels_are_never_read(predict: Predict, stripes_data: Prepared, tmp_path: Path) -> None:
    """The same files from a copy of the dataset whose labels are gone."""
    with_labels = predict().read_bytes()
    folder, photographs = tmp_path / "data", tmp_path / "photographs"
    pairs = Manifest.load(stripes_data[1]).pairs("val")
    for image, _ in pairs:
        (photographs / "val").mkdir(parents=True, exist_ok=True)
        (photographs / "val" / image.name).write_bytes(image.read_bytes())
    for path in stripes_data[1].rglob("*"):
        if path.is_file():
            copy = folder / path.relative_to(stripes_data[1])
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    values = read_json(folder / "manifest.json")
    write_text(folder / "manifest.json", json.dumps({**values, "root": str(photographs)}))
    dataset = SegmentationDataset(Manifest.load(folder), "val", stripes_data[0].identity)
    with pytest.raises(DataError, match="label is missing"):
        dataset.read(0)
    assert predict(folder).read_bytes() == with_labels


def test_a_failure_leaves_neither_manifest_nor_half_a_folder(
    predict: Predict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = predict()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "1.png")

    monkeypatch.setattr("dmnet.inference.predict.os.replace", fail)
    with pytest.raises(AssertionError):
        predict()
    assert "error: 1.png: cannot be written (No space left" in capsys.readouterr().err
    assert list(output.parent.iterdir()) == []


def test_two_images_of_one_stem_are_refused() -> None:
    images = [Path("bonn/0001.png"), Path("ulm/0002.png"), Path("ulm/0001.png")]
    with pytest.raises(DataError, match=r"ulm/0001\.png: split `val` also has bonn/0001\.png"):
        file_names(images, "val")
