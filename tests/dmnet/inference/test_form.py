"""The optimised form, with views and windows of one size in one pass, gives the plain scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dmnet.config import (
    DatasetConfig,
    EvaluationConfig,
    InferenceConfig,
    ModelConfig,
    RecipeConfig,
    content_hash,
)
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.manifest import Manifest
from dmnet.inference.augmented import label_map, predict_scores
from dmnet.inference.evaluate import evaluate
from dmnet.inference.form import OPTIMISED, PLAIN, Form, form_of, in_form
from dmnet.segmentor import Logits, Segmentor

LIMIT = 1e-5  # of the scores' range
CPU = torch.device("cpu")
RECIPE = RecipeConfig(lr=0.1, weight_decay=0, iterations=1, batch_size=1, crop_size=(8, 8))
WINDOWS = {"mode": "slide", "window": (32, 40), "stride": (20, 24)}
PROTOCOLS: list[dict[str, Any]] = [
    {},
    {"flip": True},
    {"scales": (0.5, 1.0, 1.75), "flip": True},
    {"scales": (1.0, 1.0)},
    WINDOWS,
    {**WINDOWS, "scales": (0.4, 1.25), "flip": True},
    {"fit_size": (40, 160), "scales": (1.0, 1.5), "flip": True},
]


@pytest.fixture(scope="module")
def model() -> Segmentor:
    torch.manual_seed(0)
    config = ModelConfig.model_validate(
        {"backbone": {"name": "resnet", "width": 8}, "head": {"name": "dmnet", "channels": 16}}
    )
    return Segmentor(config, 3).eval()


@pytest.fixture(scope="module")
def picture() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 57, 83), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("conventions", ["mmsegmentation", "sssegmentation"])
@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize("values", PROTOCOLS, ids=str)
def test_every_protocol_gives_the_plain_scores(
    values: dict[str, Any], average: str, conventions: str, model: Segmentor, picture: Tensor
) -> None:
    protocol = InferenceConfig.model_validate(
        {**values, "average": average, "conventions": conventions}
    )
    plain = predict_scores(model, picture, RECIPE, protocol)
    fast = in_form(model, OPTIMISED)
    scores = predict_scores(fast, picture, RECIPE, protocol, OPTIMISED)
    assert scores.shape == plain.shape
    assert float((scores - plain).abs().max()) <= LIMIT * float(plain.max() - plain.min())


def passes(protocol: dict[str, Any], pixels: int, model: Segmentor, picture: Tensor) -> list[int]:
    """The batch of every forward pass."""
    found: list[int] = []

    class Watched(torch.nn.Module):
        config = model.config

        def forward(self, images: Tensor) -> Logits:
            found.append(len(images))
            logits: Logits = model(images)
            return logits

    watched: Any = Watched()
    predict_scores(watched, picture, RECIPE, InferenceConfig(**protocol), Form("optimised", pixels))
    return found


def test_what_goes_through_together(model: Segmentor, picture: Tensor) -> None:
    both = {"scales": (0.5, 1.0), "flip": True}
    assert passes(both, 0, model, picture) == [1, 1, 1, 1]
    assert passes(both, OPTIMISED.pixels, model, picture) == [2, 2]
    assert passes(both, 2 * 57 * 83 - 1, model, picture) == [2, 1, 1]  # no memory for the larger
    # Windows begin at 0, 20, 25 of 57 rows and at 0, 24, 43 of 83 columns.
    assert passes(WINDOWS, 0, model, picture) == [1] * 9
    assert passes(WINDOWS, 4 * 32 * 40, model, picture) == [4, 4, 1]
    assert passes({**WINDOWS, "flip": True}, OPTIMISED.pixels, model, picture) == [18]


def test_the_label_map_takes_the_first_of_equal_classes() -> None:
    scores = torch.randint(0, 3, (2, 5, 40, 50), generator=torch.Generator().manual_seed(0))
    assert torch.equal(label_map(scores.float()), scores.float().argmax(1))
    assert label_map(torch.zeros(4, 2, 2)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("values", [{}, {"scales": (0.5, 1.5), "flip": True}, WINDOWS], ids=str)
def test_counts_are_the_same_in_both_forms(
    values: dict[str, Any], model: Segmentor, stripes_data: tuple[DatasetConfig, Path]
) -> None:
    """Exactly so here, where no two classes tie at any pixel."""
    config, folder = stripes_data
    dataset = SegmentationDataset(Manifest.load(folder), "val", config.identity)
    protocol, cpu = InferenceConfig(**values), torch.device("cpu")
    plain = evaluate(model, dataset, RECIPE, protocol, cpu)
    fast = in_form(model, OPTIMISED)
    ours = evaluate(fast, dataset, RECIPE, protocol, cpu, form=OPTIMISED)
    assert np.array_equal(ours.counts, plain.counts) and plain.counts.sum() > 0


def evaluation(stripes: DatasetConfig, **values: Any) -> EvaluationConfig:
    protocol = InferenceConfig(scales=(0.5, 1.0), flip=True)
    return EvaluationConfig(inference=protocol, split="val", data=stripes.identity, **values)


def test_the_form_follows_from_the_number_of_views(
    stripes_data: tuple[DatasetConfig, Path],
) -> None:
    config = stripes_data[0]
    assert form_of(evaluation(config), 10**6, CPU) == PLAIN
    assert form_of(evaluation(config, optimised_from=40), 9, CPU) == PLAIN  # 9 x 2 x 2 views
    assert form_of(evaluation(config, optimised_from=40), 10, CPU) == OPTIMISED
    assert form_of(evaluation(config, optimised_from=40), 10, torch.device("cuda")) == PLAIN


def test_the_form_is_part_of_what_an_evaluation_is(
    stripes_data: tuple[DatasetConfig, Path],
) -> None:
    """And never using it leaves every hash as it was before there was a choice."""
    config = stripes_data[0]
    plain, fast = evaluation(config), evaluation(config, optimised_from=1)
    assert content_hash(plain) == content_hash(evaluation(config, optimised_from=None))
    assert content_hash(plain) != content_hash(fast)


def test_the_plain_form_is_the_model_itself(model: Segmentor) -> None:
    assert in_form(model, PLAIN) is model
