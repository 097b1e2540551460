"""Predict a split image by image and count: model + split -> confusion matrix."""

from __future__ import annotations

import torch

from dmnet.config import InferenceConfig, RecipeConfig
from dmnet.data.dataset import SegmentationDataset
from dmnet.errors import DataError
from dmnet.inference.ahead import read_ahead
from dmnet.inference.augmented import label_map, predict_scores
from dmnet.inference.form import PLAIN, Form
from dmnet.inference.metrics import ConfusionMatrix
from dmnet.processes import ALONE, Processes
from dmnet.segmentor import Segmentor


@torch.no_grad()
def evaluate(
    model: Segmentor,
    dataset: SegmentationDataset,
    recipe: RecipeConfig,
    inference: InferenceConfig,
    device: torch.device,
    processes: Processes = ALONE,
    form: Form = PLAIN,
) -> ConfusionMatrix:
    """Images keep their loaded size and go through one at a time, as sizes differ.

    `form` is that of `model`: whether of one image several views or windows go through together.
    The next images are read meanwhile.
    The model is left in the mode (training or evaluation) it came in. Several processes share the
    images, and each has the sum of their counts.
    """
    was_training = model.training
    model.eval()
    matrix = ConfusionMatrix.empty(dataset.data.classes)
    try:
        own = range(processes.rank, len(dataset), processes.count)
        for image, label in read_ahead(dataset.read, own):
            scores = predict_scores(model, image, recipe, inference, form, device)
            matrix.add(label_map(scores), label, dataset.data.ignore_index)
    finally:
        model.train(was_training)
    matrix = ConfusionMatrix(processes.sum_counts(matrix.counts))
    if not matrix.counts.any():
        raise DataError(f"{dataset.pairs[0][1].parent}: no pixel of this split is labelled")
    return matrix
