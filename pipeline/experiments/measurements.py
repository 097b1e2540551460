"""What is measured of a model without training it: what a module costs, its speed and memory."""

from __future__ import annotations

from dmnet.config import DatasetConfig, ProfileConfig, SpeedConfig, content_hash
from pipeline.errors import SpecError
from pipeline.experiments.configuration import CellConfiguration, named
from pipeline.experiments.jobs import Profile, Speed
from pipeline.spec.settings import Settings


def profile_of(names: CellConfiguration, input_size: tuple[int, int]) -> tuple[Profile, Settings]:
    """At full width whatever the preset: counting costs nothing."""
    settings = names.published_model()
    config = ProfileConfig(model=names.model(settings), input_size=input_size)
    return Profile(content_hash(config)[:16], config), settings


def speed_of(names: CellConfiguration, dataset: DatasetConfig) -> tuple[Speed, Settings]:
    """At the preset's width and sizes: unlike a count, it takes the time that it measures."""
    settings = names.settings()
    recipe = names.recipe(settings, dataset, "train")
    if "recipe.devices" not in settings:
        raise SpecError(
            f"{names.where}: speed needs `recipe.devices`, of which one's part of the batch is "
            "measured; add it to the recipe with its origin"
        )
    parts = int(settings["recipe.devices"].value)
    if recipe.batch_size % parts:
        raise SpecError(
            f"{names.where}: `recipe.batch_size` = {recipe.batch_size} is no multiple of "
            f"`recipe.devices` = {parts}"
        )
    model = names.model(settings)
    inference, protocol = names.inference
    ohem = recipe.ohem
    if ohem is not None:  # one GPU's part of the batch has its part of what chooses apart
        ohem = ohem.model_copy(update={"parts": max(1, ohem.parts // parts)})
    with named(names):
        config = SpeedConfig(
            model=model.model_copy(
                update={"backbone": model.backbone.model_copy(update={"weights": None})}
            ),
            classes=len(dataset.classes),
            image_size=_photograph(names.where, dataset, recipe.load_scale),
            inference=inference,
            crop_size=recipe.crop_size,
            batch_size=recipe.batch_size // parts,
            ohem=ohem,
            precision=recipe.precision,
            optimised=names.preset.optimised_from is not None,
        )
    return Speed(content_hash(config)[:16], config), settings | protocol


def _photograph(where: str, dataset: DatasetConfig, load_scale: float) -> tuple[int, int]:
    """(height, width) of a typical photograph as it is loaded."""
    size = dataset.photograph
    if size is None and dataset.generate is not None:
        size = (dataset.generate.height, dataset.generate.width)
    if size is None:
        raise SpecError(
            f"{where}: speed needs the size of a photograph; add `photograph: [height, "
            f"width]` to params/datasets/{dataset.name}.yaml"
        )
    return round(size[0] * load_scale), round(size[1] * load_scale)
