"""A procedural stand-in for PASCAL VOC 2012's test photographs, as the archive in the real format.

The scenes are those of the stand-in for VOC 2012, drawn from other random numbers. As in the real
archive, there are annotations and photographs of other tasks, sides are odd and even, and one
photograph in eight is grayscale. What the scenes show is not written anywhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dmnet.config import DatasetConfig
from dmnet.data.standins.packing import jpeg, lines, tar_archive
from dmnet.data.standins.settings import generate_settings
from dmnet.data.standins.voc2012 import DRAWS, OBJECT_CLASSES, draw_scene
from dmnet.data.voc2012 import VOC_ROOT
from dmnet.data.voc2012_test import SPLIT, TEST_ARCHIVE

_GRAYSCALE_EVERY = 8
_OTHER_TASKS = 2  # photographs that the segmentation list does not name
_STREAM = 3  # the stand-in for VOC 2012 uses 1 and 2 behind the same seed


def generate(config: DatasetConfig, archives: Path) -> None:
    """Write the archive into the folder `archives`. Raises as `generate_settings`."""
    settings = generate_settings(config, (SPLIT,), [OBJECT_CLASSES + 1], DRAWS)
    images = settings.images[SPLIT]
    ids = [f"2012_{number:06d}" for number in range(1, images + _OTHER_TASKS + 1)]
    with tar_archive(archives / TEST_ARCHIVE) as add:
        for sample in ids:
            add(f"{VOC_ROOT}/Annotations/{sample}.xml", b"<annotation/>\n")
        add(f"{VOC_ROOT}/ImageSets/Main/test.txt", lines(ids))
        add(f"{VOC_ROOT}/ImageSets/Segmentation/test.txt", lines(ids[:images]))
        for number, sample in enumerate(ids):
            rng = np.random.default_rng([settings.seed, settings.revision, _STREAM, number])
            count = int(rng.integers(2, 6))
            classes = (rng.permutation(OBJECT_CLASSES)[:count] + 1).tolist()
            grayscale = number % _GRAYSCALE_EVERY == _GRAYSCALE_EVERY - 1
            scene = draw_scene(rng, settings.height, settings.width, classes, grayscale)
            add(f"{VOC_ROOT}/JPEGImages/{sample}.jpg", jpeg(scene.photograph))
