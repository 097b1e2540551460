"""`predict`: label maps that are what `evaluate` counts, in files that are whole or absent."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from dmnet.__main__ import main
from dmnet.config import DatasetConfig, EvaluationConfig, JobConfig
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.decode import read_label
from dmnet.data.manifest import Manifest
from dmnet.data.prepare import prepare_dataset
from dmnet.data.voc2012 import palette
from dmnet.errors import DataError
from dmnet.files import read_json, sha256_file, write_text
from dmnet.inference.encoding import encoding_of
from dmnet.inference.evaluate import evaluate
from dmnet.inference.metrics import ConfusionMatrix
from dmnet.inference.predict import file_names
from dmnet.inference.trained import open_trained
from dmnet.lock import run_lock

Prepared = tuple[DatasetConfig, Path]
Predict = Callable[..., Path]
PARAMS = Path(__file__).resolve().parents[3] / "params"


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
        assert Image.open(folder / name).mode == "L"
    assert manifest["encoding"] == {
        **{"name": "CamVid label values", "values": [0, 1, 2], "palette": None}
    }


@pytest.fixture
def street(
    tmp_path_factory: pytest.TempPathFactory, make_job: Callable[..., JobConfig]
) -> tuple[Path, DatasetConfig, Path]:
    """A run on a drawn dataset in Cityscapes' layout, the dataset and where it was prepared."""
    content = yaml.safe_load((PARAMS / "datasets" / "cityscapes-procedural.yaml").read_text())
    content["counts"] = {"train": 4, "val": 2}
    content["generate"] |= {"images": content["counts"], "height": 32, "width": 64}
    dataset = DatasetConfig.model_validate({"name": "street", **content})
    folder = tmp_path_factory.mktemp("street")
    prepare_dataset(dataset, folder / "data", folder / "no-archives", None)
    job = make_job(dataset)
    run = folder / "runs" / job.run.key
    write_text(run / "config.json", job.model_dump_json())
    assert main(["train", "--config", f"{run}/config.json", "--data", f"{folder}/data"]) == 0
    return run, dataset, folder / "data"


def test_cityscapes_predictions_against_its_own_label_files_are_what_evaluate_counts(
    street: tuple[Path, DatasetConfig, Path], tmp_path: Path
) -> None:
    """Label ids against label ids of gtFine, as the benchmark's tool holds them together."""
    run, dataset, data = street
    output, old = tmp_path / "predictions.json", tmp_path / "old.json"
    command = ["predict", "--run", f"{run}", "--config", json.dumps(settings(dataset))]
    command += ["--data", f"{data}"]
    assert main([*command, "--output", f"{output}"]) == 0
    assert main([*command, "--output", f"{old}", "--encoding", "train-ids"]) == 0
    assert read_json(output)["encoding"]["name"] == "Cityscapes label ids"
    assert read_json(old)["encoding"]["name"] == "train ids"
    config = EvaluationConfig.model_validate(settings(dataset))
    opened = open_trained(run, config, data)
    expected = evaluate(
        opened.model, opened.dataset, opened.job.run.recipe, config.inference, opened.device
    )
    ids = encoding_of(dataset.identity).values
    counts = np.zeros((19, 19), np.int64)
    for image, label in opened.dataset.pairs:
        assert label.name.endswith("_gtFine_labelIds.png")
        stored, truth = read_label(output.with_suffix("") / f"{image.stem}.png"), read_label(label)
        for row, column in itertools.product(range(19), range(19)):
            counts[row, column] += ((truth == ids[row]) & (stored == ids[column])).sum()
        plain = old.with_suffix("") / f"{image.stem}.png"
        assert Image.open(plain).getpalette() == palette()
        assert np.array_equal(np.array(ids)[read_label(plain)], stored)
    assert np.array_equal(counts, expected.counts)


def test_twice_the_same_bytes_and_nothing_beside_them(predict: Predict) -> None:
    output = predict()
    first = output.read_bytes()
    stale = output.with_suffix("") / "of-an-earlier-split.png"
    stale.touch()
    (output.parent / ".plain.tmp").mkdir()  # what a killed process leaves
    assert predict().read_bytes() == first
    assert not stale.exists()
    names = sorted(path.name for path in output.parent.iterdir())
    assert names == [".locks", "plain", "plain.json"]


def test_another_process_that_predicts_the_same_is_waited_for(
    predict: Predict, caplog: pytest.LogCaptureFixture
) -> None:
    output = predict()
    thread = threading.Thread(target=predict)
    with run_lock(output.parent / ".locks" / "plain.lock"):
        thread.start()
        while "plain is being predicted by process" not in caplog.text:
            assert thread.is_alive()
            time.sleep(0.01)
        assert output.exists(), "nothing of it may be touched"
    thread.join()
    assert output.exists()


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
    assert [path.name for path in output.parent.iterdir()] == [".locks"]


def test_two_images_of_one_stem_are_refused() -> None:
    images = [Path("bonn/0001.png"), Path("ulm/0002.png"), Path("ulm/0001.png")]
    with pytest.raises(DataError, match=r"ulm/0001\.png: split `val` also has bonn/0001\.png"):
        file_names(images, "val")
