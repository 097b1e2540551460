"""A procedural stand-in for ADE20K, as its archive in the real format.

Each image has two regions and four objects; a class is a hue, a tone and a form (`Look.of`). As in
the real archive, the first classes are frequent and the last ones rare, some pixels are labelled 0,
a few photographs are grayscale or CMYK, and a few are half or twice as large as the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.data.ade20k import ARCHIVE, ROOT, SPLITS
from dmnet.data.standins.packing import jpeg, lines, png, zip_archive
from dmnet.data.standins.scenes import Scene, draw_labelled, frequent_first
from dmnet.data.standins.settings import generate_settings

CLASSES = 150  # labels 1..150; 0 is unlabelled

_THINGS = 6  # in an image
# What some photographs have of their own, by their number within a split:
_SCALES = {12: 0.5, 24: 2.0}  # of 25
_MODES = {19: "L", 39: "CMYK"}  # of 40
_ID = {"training": "ADE_train_{:08d}", "validation": "ADE_val_{:08d}"}


def generate(config: DatasetConfig, archives: Path) -> None:
    """Write the archive into the folder `archives`. Raises as `generate_settings`."""
    settings = generate_settings(config, SPLITS, [CLASSES], f"ADE20K draws {CLASSES}")
    with zip_archive(archives / ARCHIVE) as add:
        names = [f"{i}\t{name}" for i, name in enumerate(config.classes, start=1)]
        add(f"{ROOT}/objectInfo150.txt", lines(["Idx\tName", *names]))
        for place, split in enumerate(SPLITS):
            for number, scene in enumerate(_scenes(settings, place, split), start=1):
                sample = _ID[split].format(number)
                photograph = jpeg(scene.photograph, _MODES.get(number % 40))
                add(f"{ROOT}/images/{split}/{sample}.jpg", photograph)
                add(f"{ROOT}/annotations/{split}/{sample}.png", png(scene.labels))


def _scenes(settings: GenerateConfig, place: int, split: str) -> Iterator[Scene]:
    key = [settings.seed, settings.revision, place]
    images = settings.images[split]
    plan = np.random.default_rng([*key, 0])
    hands = frequent_first(plan, CLASSES, images, _THINGS, complete=split == "training")
    for number, hand in enumerate(hands, start=1):
        scale = _SCALES.get(number % 25, 1.0)
        size = round(settings.height * scale), round(settings.width * scale)
        yield draw_labelled(np.random.default_rng([*key, number]), *size, hand)
