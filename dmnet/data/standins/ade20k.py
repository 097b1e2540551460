"""A procedural stand-in for ADE20K, as its archive in the real format.

Each image has two regions and four objects; a class is a hue, a tone and a form (`Look.of`). As in
the real archive, the first classes are frequent and the last ones rare, some pixels are labelled 0,
a few photographs are grayscale or CMYK, and a few are half or twice as large as the others.

One configuration gives the same bytes every time (with the same version of Pillow).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.data.ade20k import ARCHIVE, ROOT, SPLITS
from dmnet.data.standins.packing import jpeg, lines, png, zip_archive
from dmnet.data.standins.scenes import Look, Scene, Thing, draw_scene, frequent_first
from dmnet.data.standins.settings import check_number_of_classes, generate_settings

CLASSES = 150  # labels 1..150; 0 is unlabelled

_REGIONS, _THINGS = 2, 6  # of six things two are regions
_ID = {"training": "ADE_train_{:08d}", "validation": "ADE_val_{:08d}"}


@dataclass(frozen=True)
class _Quirk:
    """What the photograph `number` of a split has of its own."""

    number: int

    @property
    def scale(self) -> float:
        return {12: 0.5, 24: 2.0}.get(self.number % 25, 1.0)

    @property
    def mode(self) -> str | None:
        return {19: "L", 39: "CMYK"}.get(self.number % 40)


def generate(config: DatasetConfig, archives: Path) -> None:
    """Write the archive into the folder `archives`.

    `config.generate.images` has the keys `training` and `validation`. Raises ConfigError when they
    are others, or there are not 150 classes.
    """
    settings = generate_settings(config, SPLITS)
    check_number_of_classes(config, CLASSES, "ADE20K")
    with zip_archive(archives / ARCHIVE) as add:
        names = [f"{i}\t{name}" for i, name in enumerate(config.classes, start=1)]
        add(f"{ROOT}/objectInfo150.txt", lines(["Idx\tName", *names]))
        for place, split in enumerate(SPLITS):
            for number, scene in enumerate(_scenes(settings, place, split), start=1):
                sample = _ID[split].format(number)
                photograph = jpeg(scene.photograph, _Quirk(number).mode)
                add(f"{ROOT}/images/{split}/{sample}.jpg", photograph)
                add(f"{ROOT}/annotations/{split}/{sample}.png", png(scene.labels))


def _scenes(settings: GenerateConfig, place: int, split: str) -> Iterator[Scene]:
    key = [settings.seed, settings.revision, place]
    images = settings.images[split]
    plan = np.random.default_rng([*key, 0])
    hands = frequent_first(plan, CLASSES, images, _THINGS, complete=split == "training")
    for number, hand in enumerate(hands, start=1):
        scale = _Quirk(number).scale
        things = [Thing(category + 1, Look.of(category)) for category in hand]
        yield draw_scene(
            np.random.default_rng([*key, number]),
            round(settings.height * scale),
            round(settings.width * scale),
            objects=things[_REGIONS:],
            regions=things[:_REGIONS],
        )
