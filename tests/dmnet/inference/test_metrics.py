"""Intersection over union: by hand, against mmsegmentation, and as exact integer sums."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dmnet.inference.metrics import ConfusionMatrix

IGNORE = 255
Fidelity = Callable[..., None]
METRIC, SOURCE = "mIoU (mmsegmentation)", "mmseg_iou_metric"

# Classes 0, 1, 2 in labels or predictions, class 3 in neither, two pixels ignored.
LABELS = torch.tensor([[0, 0, 0, 1], [1, 1, IGNORE, IGNORE]])
PREDICTIONS = torch.tensor([[0, 0, 1, 1], [1, 2, 3, 0]])


def count(predictions: Tensor, labels: Tensor, classes: int = 4) -> ConfusionMatrix:
    matrix = ConfusionMatrix.empty(classes)
    matrix.add(predictions, labels, IGNORE)
    return matrix


def test_counts_by_hand_with_true_classes_in_rows() -> None:
    expected = [[2, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert count(PREDICTIONS, LABELS).counts.tolist() == expected


def test_iou_by_hand_with_nan_for_the_absent_class() -> None:
    iou = count(PREDICTIONS, LABELS).iou()
    assert iou[:3].tolist() == [2 / 3, 2 / 4, 0.0]
    assert math.isnan(iou[3])


def test_the_mean_is_over_the_classes_that_occur() -> None:
    matrix = count(PREDICTIONS, LABELS)
    assert matrix.miou() == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert matrix.pixel_accuracy() == 4 / 6


def test_ignored_pixels_count_nowhere_whatever_is_predicted_there() -> None:
    ignored = LABELS == IGNORE
    for other in range(4):
        changed = torch.where(ignored, other, PREDICTIONS)
        assert np.array_equal(count(changed, LABELS).counts, count(PREDICTIONS, LABELS).counts)


def test_without_a_labelled_pixel_nothing_is_known() -> None:
    matrix = count(PREDICTIONS, torch.full_like(LABELS, IGNORE))
    assert math.isnan(matrix.miou()) and math.isnan(matrix.pixel_accuracy())
    assert int(matrix.counts.sum()) == 0


def test_the_majority_class_is_what_predicting_it_everywhere_gives() -> None:
    labels = torch.tensor([2, 2, 2, 0, 1, IGNORE])
    predictions = torch.tensor([0, 1, 2, 0, 1, 1])
    everywhere = count(torch.full_like(labels, 2), labels, classes=3)
    assert np.array_equal(
        count(predictions, labels, classes=3).majority_class().counts, everywhere.counts
    )
    assert everywhere.miou() == pytest.approx((3 / 5) / 3)


def test_the_summary_is_json_with_none_for_absent_classes() -> None:
    summary = json.loads(json.dumps(count(PREDICTIONS, LABELS).summary(), allow_nan=False))
    assert summary["per_class_iou"] == [2 / 3, 0.5, 0.0, None]
    assert summary["miou"] == pytest.approx(7 / 18)
    assert summary["pixel_accuracy"] == 4 / 6
    assert summary["majority_class_miou"] == pytest.approx(0.25)
    assert np.sum(summary["confusion_matrix"]) == 6


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    order=st.permutations(range(5)),
    classes=st.integers(2, 7),
)
def test_counts_are_exact_integers_in_any_order_and_any_grouping(
    seed: int, order: list[int], classes: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(0, classes, (5, 6, 7)))
    labels[torch.from_numpy(rng.random((5, 6, 7)) < 0.2)] = IGNORE
    predictions = torch.from_numpy(rng.integers(0, classes, (5, 6, 7)))
    one_by_one = ConfusionMatrix.empty(classes)
    for image in order:
        one_by_one.add(predictions[image], labels[image], IGNORE)
    at_once = count(predictions, labels, classes)
    assert one_by_one.counts.dtype == np.int64
    assert np.array_equal(one_by_one.counts, at_once.counts)
    for t in range(classes):
        for p in range(classes):
            assert at_once.counts[t, p] == int(((labels == t) & (predictions == p)).sum())


def test_large_counts_stay_exact() -> None:
    """2**24 + 1 pixels are one too many for float32."""
    matrix = ConfusionMatrix(np.full((2, 2), 2**24, np.int64))
    matrix.add(torch.tensor([1]), torch.tensor([0]), IGNORE)
    assert matrix.counts.tolist() == [[2**24, 2**24 + 1], [2**24, 2**24]]


# ------------------------------------------------------------------------ against mmsegmentation


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Any]) -> dict[str, Any]:
    return golden("mmseg_iou_metric")


@pytest.fixture
def matrix(recorded: dict[str, Any]) -> ConfusionMatrix:
    matrix = ConfusionMatrix.empty(recorded["num_classes"])
    for predictions, labels in zip(recorded["preds"], recorded["labels"], strict=True):
        matrix.add(predictions, labels, recorded["ignore_index"])
    return matrix


def test_areas_equal_mmsegmentations(
    matrix: ConfusionMatrix, recorded: dict[str, Any], fidelity: Fidelity
) -> None:
    intersect, pred, label = (
        np.diag(matrix.counts).copy(),
        matrix.counts.sum(0),
        matrix.counts.sum(1),
    )
    areas = {
        "intersect": intersect,
        "pred": pred,
        "label": label,
        "union": pred + label - intersect,
    }
    for name, ours in areas.items():
        theirs = sum(recorded[f"area_{name}"]).long()
        fidelity(METRIC, f"area_{name}", torch.from_numpy(ours), theirs, source=SOURCE)


def test_iou_per_class_equals_mmsegmentations(
    matrix: ConfusionMatrix, recorded: dict[str, Any], fidelity: Fidelity
) -> None:
    ours, theirs = matrix.iou(), recorded["per_class_iou"]
    assert np.isnan(ours).sum() == 1 and (ours == 0).sum() == 1
    # Theirs are float32, so ours are compared after the same rounding.
    rounded = torch.from_numpy(ours).to(theirs.dtype)
    fidelity(METRIC, "IoU of every class", rounded, theirs, source=SOURCE, limit=0)


def test_the_summary_equals_mmsegmentations_in_percent(
    matrix: ConfusionMatrix, recorded: dict[str, Any], fidelity: Fidelity
) -> None:
    expected = recorded["summary"]["miou"]
    for name, ours in (("mIoU", matrix.miou()), ("aAcc", matrix.pixel_accuracy())):
        percent, theirs = round(100 * ours, 2), round(float(expected[name]), 2)
        fidelity(METRIC, f"{name}, two places", percent, theirs, source=SOURCE, limit=0)
    ours = float(np.float32(matrix.pixel_accuracy()))
    fidelity(METRIC, "aAcc", ours, recorded["aAcc"], source=SOURCE, limit=0)
