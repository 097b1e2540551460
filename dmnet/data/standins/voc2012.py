"""A procedural stand-in for PASCAL VOC 2012 with SBD, as the two archives in the real format.

Each image has one to four objects on a textured background. A class is a hue (of ten) together
with a form (of two): striped ellipse or chequered rectangle. So colour is an easy cue, form needs
a wider look, and thin background strokes in the classes' hues make colour alone insufficient. As
in the real archives, VOC's labels outline objects with 255, SBD's do not, SBD labels some of VOC's
train and val images as well, and a few photographs are grayscale.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io
import scipy.sparse

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.data.standins import scenes
from dmnet.data.standins.packing import encode, fixed_mat_header, jpeg, lines, tar_archive
from dmnet.data.standins.scenes import HUES, Look, Scene, Thing, edges
from dmnet.data.standins.settings import generate_settings, mixed_ids
from dmnet.data.voc2012 import SBD_ARCHIVE, SBD_ROOT, VOC_ARCHIVE, VOC_ROOT, coloured

OBJECT_CLASSES = 20  # labels 1..20; 0 is the background
DRAWS = f"VOC 2012 draws {OBJECT_CLASSES + 1}, the background included"

_GRAYSCALE_EVERY = 40
_GROUPS = ("train", "sbd", "val")


def generate(config: DatasetConfig, archives: Path) -> None:
    """Write both archives into the folder `archives`.

    `config.generate.images`: `train` and `val` are VOC's splits, `sbd` the images that only SBD
    labels; so `trainaug` has `train` + `sbd` images. Raises as `generate_settings`.
    """
    settings = generate_settings(config, _GROUPS, [OBJECT_CLASSES + 1], DRAWS)
    groups = mixed_ids(settings, _GROUPS, range(2007, 2012))
    drawn = dict(_scenes(settings, groups))
    _write_voc(archives / VOC_ARCHIVE, groups, drawn)
    _write_sbd(archives / SBD_ARCHIVE, groups, drawn)


def _scenes(
    settings: GenerateConfig, groups: Mapping[str, list[str]]
) -> Iterator[tuple[str, Scene]]:
    number = 0
    for group in _GROUPS:
        # Cycling through all classes balances them within each group.
        order = np.random.default_rng([settings.seed, settings.revision, 1, number])
        waiting: list[int] = []
        for sample in groups[group]:
            rng = np.random.default_rng([settings.seed, settings.revision, 2, number])
            count = int(rng.integers(2, 6))
            while len(waiting) < count:
                waiting += (order.permutation(OBJECT_CLASSES) + 1).tolist()
            classes, waiting = waiting[:count], waiting[count:]
            grayscale = number % _GRAYSCALE_EVERY == _GRAYSCALE_EVERY - 1
            yield sample, draw_scene(rng, settings.height, settings.width, classes, grayscale)
            number += 1


def draw_scene(
    rng: np.random.Generator, height: int, width: int, classes: list[int], grayscale: bool = False
) -> Scene:
    """One scene with an object per entry of `classes` (1..20), about height x width pixels."""
    objects = [Thing(c, Look(hue=(c - 1) % HUES, form=(c - 1) // HUES)) for c in classes]
    return scenes.draw_scene(rng, height, width, objects, grayscale=grayscale)


def _write_voc(path: Path, groups: Mapping[str, list[str]], drawn: Mapping[str, Scene]) -> None:
    labelled = sorted(groups["train"] + groups["val"])
    lists = {"train": groups["train"], "val": groups["val"], "trainval": labelled}
    with tar_archive(path) as add:
        for split, ids in lists.items():
            add(f"{VOC_ROOT}/ImageSets/Segmentation/{split}.txt", lines(ids))
        for sample in sorted(drawn):
            add(f"{VOC_ROOT}/JPEGImages/{sample}.jpg", jpeg(drawn[sample].photograph))
        for sample in labelled:
            label = encode(coloured(drawn[sample].outlined()), "PNG")
            add(f"{VOC_ROOT}/SegmentationClass/{sample}.png", label)


def _write_sbd(path: Path, groups: Mapping[str, list[str]], drawn: Mapping[str, Scene]) -> None:
    # About three quarters of VOC's own images, as in the real SBD; `trainaug` must leave out its
    # val images and prefer VOC's labels for its train images.
    shared = [s for g in ("train", "val") for i, s in enumerate(groups[g]) if i % 4 != 3]
    labelled = sorted(groups["sbd"] + shared)
    # SBD has its own train and val, unrelated to VOC's.
    lists = {
        "train": [sample for i, sample in enumerate(labelled) if i % 4 != 1],
        "val": [sample for i, sample in enumerate(labelled) if i % 4 == 1],
    }
    with tar_archive(path, packed=True) as add:
        for split, ids in lists.items():
            add(f"{SBD_ROOT}/{split}.txt", lines(ids))
        for sample in labelled:
            add(f"{SBD_ROOT}/cls/{sample}.mat", sbd_mat(drawn[sample].labels))
        for sample in labelled:
            add(f"{SBD_ROOT}/img/{sample}.jpg", jpeg(drawn[sample].photograph))


def sbd_mat(labels: npt.NDArray[np.uint8]) -> bytes:
    """A file of SBD's `cls` folder: a struct GTcls with the fields of the published ones.

    Boundaries: 20x1 cell of sparse logical matrices; Segmentation: uint8, category per pixel;
    CategoriesPresent: column of the categories.
    """
    present = [int(value) for value in np.unique(labels) if 1 <= value <= OBJECT_CLASSES]
    empty = scipy.sparse.csc_matrix(labels.shape, dtype=bool)
    boundaries = np.empty((OBJECT_CLASSES, 1), dtype=object)
    for row in range(OBJECT_CLASSES):
        boundaries[row, 0] = empty
    for category in present:
        inside = labels == category
        boundaries[category - 1, 0] = scipy.sparse.csc_matrix(
            edges(inside.astype(np.uint8)) & inside
        )
    content = {
        "Boundaries": boundaries,
        "Segmentation": labels,
        "CategoriesPresent": np.array(present, dtype=np.uint8)[:, None],
    }
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"GTcls": content}, do_compression=True)
    return fixed_mat_header(buffer.getvalue())
