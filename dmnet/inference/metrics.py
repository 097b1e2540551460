"""Intersection over union from a confusion matrix of integers, so sums are exact in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmnet.errors import DataError


@dataclass
class ConfusionMatrix:
    """`counts[t, p]`: pixels of true class t predicted as p. (classes, classes) int64."""

    counts: np.ndarray

    @classmethod
    def empty(cls, classes: int) -> ConfusionMatrix:
        return cls(np.zeros((classes, classes), dtype=np.int64))

    @property
    def classes(self) -> int:
        return len(self.counts)

    def add(self, predictions: Tensor, labels: Tensor, ignore_index: int) -> None:
        """Count predictions (..., h, w) against labels of the same shape; ignored pixels do not.

        On the predictions' device, which only the counts leave. Raises DataError for a label or
        prediction that is no class: it would be counted elsewhere.
        """
        labels = labels.to(predictions.device, torch.int64)
        labelled = labels != ignore_index
        for name, values in (("label", labels), ("prediction", predictions)):
            low, high = torch.where(labelled, values, 0).aminmax()
            if not 0 <= int(low) <= int(high) < self.classes:
                wrong = int(low) if int(low) < 0 else int(high)
                raise DataError(
                    f"a {name} of {wrong}, expected 0 to {self.classes - 1}; "
                    "the model and the dataset do not belong together"
                )
        squares = self.classes**2  # and one more for what is ignored
        cells = torch.where(labelled, labels * self.classes + predictions, squares)
        counts = torch.bincount(cells.flatten(), minlength=squares + 1)[:squares]
        self.counts += counts.reshape(self.classes, self.classes).cpu().numpy()

    def iou(self) -> np.ndarray:
        """Per class, fractions; NaN for a class in neither labels nor predictions."""
        intersection = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - np.diag(self.counts)
        return np.divide(intersection, union, out=np.full(self.classes, np.nan), where=union > 0)

    def miou(self) -> float:
        """Mean over the classes that occur, a fraction (NaN without a single labelled pixel)."""
        iou = self.iou()
        return float(np.nanmean(iou)) if not np.isnan(iou).all() else float("nan")

    def pixel_accuracy(self) -> float:
        total = int(self.counts.sum())
        return float(np.diag(self.counts).sum() / total) if total else float("nan")

    def majority_class(self) -> ConfusionMatrix:
        """What predicting the most frequent class everywhere would have counted."""
        per_class = self.counts.sum(1)
        constant = np.zeros_like(self.counts)
        constant[:, int(per_class.argmax())] = per_class
        return ConfusionMatrix(constant)

    def summary(self) -> dict[str, Any]:
        """JSON-ready; fractions, None where a class does not occur."""
        return {
            "miou": _number(self.miou()),
            "per_class_iou": [_number(x) for x in self.iou()],
            "pixel_accuracy": _number(self.pixel_accuracy()),
            "majority_class_miou": _number(self.majority_class().miou()),
            "confusion_matrix": self.counts.tolist(),
        }


def _number(value: float) -> float | None:
    """NaN is not JSON; what cannot be measured is None."""
    return None if np.isnan(value) else float(value)
