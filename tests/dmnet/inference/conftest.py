"""What the comparisons of inference share: our models with the references' recorded weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from dmnet.config import RecipeConfig
from dmnet.importers import ZOOS
from dmnet.segmentor import Segmentor
from tests.dmnet.reference_models import our_model


@pytest.fixture(scope="session")
def reference_model(golden: Callable[[str], Any]) -> Callable[[str], Segmentor]:
    """`reference_model(fixture)`: our model with its checkpoint, in evaluation mode."""

    @cache
    def load(fixture: str) -> Segmentor:
        recorded = golden(fixture)
        config, classes, zoo = our_model(recorded)
        model = Segmentor(config, classes)
        state = ZOOS[zoo].unwrap(recorded["checkpoint"])
        model.load_state_dict(ZOOS[zoo].to_ours(state, model))
        return model.eval()

    return load


@pytest.fixture(scope="session")
def normalisation() -> Callable[[dict[str, Any]], RecipeConfig]:
    """A recipe with a recording's mean and deviation, the only settings that inference uses."""

    def recipe(recorded: dict[str, Any]) -> RecipeConfig:
        values = {"mean": tuple(recorded["mean"]), "std": tuple(recorded["std"])}
        unused = {"lr": 1, "weight_decay": 0, "iterations": 1, "batch_size": 1, "crop_size": (8, 8)}
        return RecipeConfig.model_validate({**values, **unused})

    return recipe
