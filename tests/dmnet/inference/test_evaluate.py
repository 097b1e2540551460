"""Evaluating a split: every image at its own size, every labelled pixel once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dmnet.config import DatasetConfig, InferenceConfig, ModelConfig, RecipeConfig
from dmnet.data.augment import normalise
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.manifest import Manifest
from dmnet.inference.evaluate import evaluate
from dmnet.inference.windows import whole_image_logits
from dmnet.segmentor import Logits, Segmentor

CPU = torch.device("cpu")
RECIPE = RecipeConfig(lr=0.1, weight_decay=0, iterations=1, batch_size=1, crop_size=(8, 8))


class Samples:
    """Images of different sizes whose red channel is the label times 40."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.data = SimpleNamespace(classes=4, ignore_index=255)
        self.labels = [
            torch.randint(0, 4, size, generator=generator) for size in ((5, 7), (8, 8), (1, 3))
        ]

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        label = self.labels[index]
        image = torch.stack([label * 40, label * 0, label * 0]).to(torch.uint8)
        label = label.clone()
        label[0, 0] = 255
        return image, label


class ReadsLabelsOff(nn.Module):
    """Predicts the label written into the red channel, plus `shift`, at every pixel."""

    config = SimpleNamespace(align_corners=False)

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, images: Tensor) -> Logits:
        red = images[:, 0] * RECIPE.std[0] + RECIPE.mean[0]
        labels = ((red / 40).round().long() + self.shift) % 4
        return Logits(nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float(), None)


def run(model: Any, dataset: Any, **protocol: Any) -> Any:
    return evaluate(model, dataset, RECIPE, InferenceConfig(**protocol), CPU)


@pytest.mark.parametrize(
    "protocol",
    [{}, {"flip": True}, {"mode": "slide", "window": (4, 5), "stride": (3, 3)}],
    ids=str,
)
def test_a_model_that_knows_the_labels_gets_everything_right(protocol: dict[str, Any]) -> None:
    matrix = run(ReadsLabelsOff(0), Samples(), **protocol)
    assert matrix.miou() == 1.0
    labelled = 5 * 7 + 8 * 8 + 1 * 3 - 3
    assert int(matrix.counts.sum()) == labelled == int(np.diag(matrix.counts).sum())


def test_a_model_that_is_always_wrong_gets_nothing_right() -> None:
    matrix = run(ReadsLabelsOff(1), Samples())
    assert matrix.miou() == 0.0 and matrix.counts[0, 1] > 0 and matrix.counts[1, 0] == 0


@pytest.fixture
def real(stripes_data: tuple[DatasetConfig, Path]) -> tuple[Segmentor, SegmentationDataset]:
    dataset, folder = stripes_data
    torch.manual_seed(0)
    config = ModelConfig.model_validate(
        {"backbone": {"name": "resnet", "width": 4}, "head": {"name": "dmnet", "channels": 4}}
    )
    model = Segmentor(config, 3)
    return model, SegmentationDataset(Manifest.load(folder), "val", dataset.identity)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_comes_back_as_it_was(
    real: tuple[Segmentor, SegmentationDataset], training: bool
) -> None:
    model, dataset = real
    model.train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, second = run(model, dataset), run(model, dataset)
    assert model.training is training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert np.array_equal(first.counts, second.counts)


def test_the_counts_are_those_of_the_models_label_maps(
    real: tuple[Segmentor, SegmentationDataset],
) -> None:
    model, dataset = real
    expected = np.zeros((3, 3), np.int64)
    model.eval()
    for index in range(len(dataset)):
        image, label = dataset.read(index)
        with torch.no_grad():
            logits = model(normalise(image, RECIPE)[None]).main
        full = nn.functional.interpolate(logits, tuple(label.shape), mode="bilinear")
        for t, p in zip(label.ravel().tolist(), full.argmax(1).ravel().tolist(), strict=True):
            if t != 255:
                expected[t, p] += 1
    assert np.array_equal(run(model, dataset).counts, expected)


@pytest.mark.parametrize("size", [(33, 40), (17, 8), (1, 1)])
def test_whole_image_logits_have_the_images_size(
    real: tuple[Segmentor, SegmentationDataset], size: tuple[int, int]
) -> None:
    with torch.no_grad():
        logits = whole_image_logits(real[0].eval(), torch.randn(2, 3, *size))
    assert logits.shape == (2, 3, *size)
