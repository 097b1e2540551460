"""Predictions stand in the files as each benchmark's own tools expect them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from PIL import Image

from dmnet.config import DataIdentity, DatasetConfig
from dmnet.data.dataset import label_lookup
from dmnet.data.voc2012 import palette
from dmnet.errors import ConfigError, DataError
from dmnet.inference.encoding import TRAIN_IDS, encoding_from, encoding_of, train_ids
from dmnet.inference.metrics import ConfusionMatrix

ROOT = Path(__file__).resolve().parents[3]
DATASETS = sorted(path.stem for path in (ROOT / "params" / "datasets").glob("*.yaml"))
SOURCE = "cityscapes_evaluation"
# The label ids of Cityscapes' 19 evaluated classes in the order of their train ids.
CITYSCAPES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def shipped(name: str) -> DataIdentity:
    content = yaml.safe_load((ROOT / "params" / "datasets" / f"{name}.yaml").read_text())
    config = DatasetConfig.model_validate({"name": name, **content})
    return config.identity_of("val" if "val" in config.splits else "test")


def read(png: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize(
    ("dataset", "values"),
    [
        ("cityscapes", CITYSCAPES),
        ("cityscapes-procedural", CITYSCAPES),
        ("ade20k", tuple(range(1, 151))),
        ("pascal-context-59", tuple(range(1, 60))),
        ("pascal-context-60", tuple(range(60))),
        ("voc2012aug", tuple(range(21))),
        ("voc2012-test", tuple(range(21))),
        ("camvid", tuple(range(11))),
    ],
)
def test_a_class_is_the_value_that_the_benchmark_s_labels_have(
    dataset: str, values: tuple[int, ...]
) -> None:
    assert encoding_of(shipped(dataset)).values == values


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_loader_reads_a_prediction_as_it_reads_a_label(dataset: str) -> None:
    data = shipped(dataset)
    labels = np.arange(data.classes, dtype=np.uint8).reshape(1, -1)
    encoding = encoding_of(data)
    stored = read(encoding.png(labels))
    assert np.array_equal(label_lookup(data)[stored], labels)
    assert np.array_equal(encoding.classes(stored), labels)


def test_only_voc_s_files_have_its_palette() -> None:
    for name in DATASETS:
        image = Image.open(io.BytesIO(encoding_of(shipped(name)).png(np.zeros((2, 3), np.uint8))))
        assert image.mode == ("P" if name.startswith("voc2012") else "L")
    assert Image.open(io.BytesIO(train_ids(19).png(np.eye(2, dtype=np.uint8)))).getpalette() == (
        palette()
    )


def test_cityscapes_tool_gives_predictions_the_scores_that_we_give_them(
    fidelity: Callable[..., None],
) -> None:
    """And what it said of train ids written as they are, as we did: nearly nothing, no error."""
    recorded = json.loads((ROOT / "tests" / "golden" / f"{SOURCE}.json").read_text())
    data = shipped("cityscapes")
    matrix = ConfusionMatrix.empty(data.classes)
    columns = (recorded[name] for name in ("ground_truth", "train_ids", "label_ids"))
    for truth, labels, label_ids in zip(*map(np.array, columns), strict=True):
        stored = read(encoding_of(data).png(labels.astype(np.uint8)))
        what = "pixels of a prediction as Cityscapes' tool reads them"
        ours, theirs = (torch.from_numpy(a.astype(np.int64)) for a in (stored, label_ids))
        fidelity("mIoU (Cityscapes)", what, ours, theirs, source=SOURCE)
        loaded = torch.from_numpy(label_lookup(data)[truth])
        matrix.add(torch.from_numpy(labels), loaded, data.ignore_index)
    scores = recorded["scores_of_label_ids"]
    iou = torch.from_numpy(matrix.iou())
    expected = torch.tensor([np.nan if x is None else x for x in scores["iou"]]).double()
    fidelity("mIoU (Cityscapes)", "IoU of each class", iou, expected, source=SOURCE, limit=1e-6)
    fidelity("mIoU (Cityscapes)", "mIoU", matrix.miou(), scores["mean"], source=SOURCE, limit=1e-12)
    assert recorded["scores_of_train_ids"]["mean"] < 0.02 * scores["mean"]


def test_ade20k_counts_predictions_from_1_and_leaves_0_of_the_truth_out() -> None:
    """Its convention: pixels of truth 0 do not count, values 1 to 150 are compared as they are."""
    rng = np.random.default_rng(0)
    data = shipped("ade20k")
    truth, labels = rng.integers(0, 151, (60, 80)), rng.integers(0, 150, (60, 80))
    labels[::2] = np.maximum(truth[::2] - 1, 0)
    stored = read(encoding_of(data).png(labels.astype(np.uint8)))
    counted = stored * (truth > 0)
    hits = np.bincount(truth[counted == truth], minlength=151)[1:]
    union = np.bincount(counted.ravel(), minlength=151)[1:]
    union = union + np.bincount(truth.ravel(), minlength=151)[1:] - hits
    matrix = ConfusionMatrix.empty(150)
    loaded = torch.from_numpy(label_lookup(data)[truth])
    matrix.add(torch.from_numpy(labels), loaded, data.ignore_index)
    assert np.array_equal(matrix.iou(), hits / union)


def made_up(**changes: Any) -> DataIdentity:
    values = {"name": "toy", "layout": "camvid", "classes": 2, "ignore_index": 255}
    return DataIdentity.model_validate(
        {**values, "label_map": {}, "split": "val", "generate": None, **changes}
    )


def test_of_several_values_that_became_one_class_the_lowest_is_written() -> None:
    assert encoding_of(made_up(label_map={0: 255, 5: 0, 3: 0, 9: 1})).values == (3, 1)


def test_a_class_that_no_label_stands_for_can_be_written_as_train_id_only() -> None:
    data = made_up(label_map={0: 255})
    with pytest.raises(ConfigError, match="dataset toy: .* class 0, .* --encoding train-ids"):
        encoding_of(data)
    assert encoding_of(data, "train-ids").values == (0, 1)


def test_the_manifest_s_entry_is_the_encoding_and_without_one_it_is_train_ids() -> None:
    encoding = encoding_of(shipped("cityscapes"))
    entry = json.loads(json.dumps(encoding.to_json()))
    assert encoding_from({"encoding": entry}, 19) == encoding
    assert encoding_from({}, 19).name == TRAIN_IDS
    for wrong in ({**entry, "values": entry["values"][1:]}, {"name": "x"}, 5):
        with pytest.raises(DataError, match="`encoding`"):
            encoding_from({"encoding": wrong}, 19)


def test_a_value_of_no_class_is_told() -> None:
    encoding = encoding_of(shipped("cityscapes"))
    with pytest.raises(DataError, match="a pixel of 9, expected one of 7, 8, 11, "):
        encoding.classes(np.array([[7, 9]]))
    with pytest.raises(DataError, match=r"a pixel of 300, expected 1\.\.150"):
        encoding_of(shipped("ade20k")).classes(np.array([[300]]))
