"""A procedural stand-in for Pascal-Context, as its two archives and its list in the real format.

Each image has two regions and three objects, which cover most of it; a class is a hue, a tone and
a form (`Look.of`). The first classes are frequent, the last ones rare. As in the real files, the
labels are ids of 459 names, of which the background shows several; the list of the 59 has another
order and three other spellings, and VOC has photographs without a label.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.data.pascal_context import (
    CLASSES,
    FREQUENT,
    LABEL_ARCHIVE,
    SPELLINGS,
    VOC_ARCHIVE,
    VOC_ROOT,
)
from dmnet.data.standins.packing import fixed_mat_header, jpeg, lines, tar_archive
from dmnet.data.standins.scenes import Scene, draw_labelled, frequent_first
from dmnet.data.standins.settings import generate_settings, mixed_ids
from dmnet.files import write_bytes

NAMES = 459
# The real ids of the 59 classes, in the order of their names in labels.txt.
# fmt: off
ORIGINALS = (
    2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113,
    115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326,
    347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458,
)
# fmt: on

_GROUPS = ("train", "val")
_OTHERS = (0, 1, 200, NAMES)  # original ids of the background, 0 is unlabelled
_THINGS = 5  # in an image
_GRAYSCALE_EVERY = 40
_UNLABELLED_EVERY = 16


def generate(config: DatasetConfig, archives: Path) -> None:
    """Write both archives and the list of 59 names into the folder `archives`.

    Whether the classes of `config` begin with a background makes no difference here. Raises as
    `generate_settings`.
    """
    numbers = (CLASSES, CLASSES + 1)
    draws = "Pascal-Context draws {}, or {} with the background".format(*numbers)
    settings = generate_settings(config, _GROUPS, numbers, draws)
    names = list(config.classes[-CLASSES:])
    groups = mixed_ids(settings, _GROUPS, range(2008, 2011))
    drawn = dict(_scenes(settings, groups))
    _write_voc(archives / VOC_ARCHIVE, groups, drawn)
    _write_labels(archives / LABEL_ARCHIVE, names, drawn)
    spelled = {name: other for other, name in SPELLINGS.items()}
    # The real list is not in the order of the ids either.
    frequent = [spelled.get(name, name) for name in reversed(names)]
    write_bytes(archives / FREQUENT, _numbered(frequent))


def label_mat(original: npt.NDArray[np.integer]) -> bytes:
    """A file trainval/<id>.mat: the matrix LabelMap, uint16, original ids per pixel."""
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"LabelMap": original.astype(np.uint16)}, do_compression=True)
    return fixed_mat_header(buffer.getvalue())


def all_names(classes: list[str]) -> list[str]:
    """The 459 names of labels.txt: the 59 at their real ids, made-up ones elsewhere."""
    names = [f"other{number}" for number in range(1, NAMES + 1)]
    for original, name in zip(ORIGINALS, classes, strict=True):
        names[original - 1] = name
    return names


def _scenes(
    settings: GenerateConfig, groups: Mapping[str, list[str]]
) -> Iterator[tuple[str, Scene]]:
    number = 0
    for group in _GROUPS:
        plan = np.random.default_rng([settings.seed, settings.revision, 1, number])
        ids = groups[group]
        hands = frequent_first(plan, CLASSES, len(ids), _THINGS, complete=group == "train")
        for sample, hand in zip(ids, hands, strict=True):
            rng = np.random.default_rng([settings.seed, settings.revision, 2, number])
            grayscale = number % _GRAYSCALE_EVERY == _GRAYSCALE_EVERY - 1
            yield sample, draw_labelled(rng, settings.height, settings.width, hand, grayscale)
            number += 1


def _write_voc(path: Path, groups: Mapping[str, list[str]], drawn: Mapping[str, Scene]) -> None:
    # VOC has photographs of other tasks, too, which Pascal-Context did not label.
    without_label = {f"2007_{i:06d}": scene for i, scene in enumerate(drawn.values())}
    extra = dict(list(without_label.items())[::_UNLABELLED_EVERY])
    with tar_archive(path) as add:
        for split in _GROUPS:
            ids = sorted([*groups[split], *list(extra)[split == "val" :: 2]])
            add(f"{VOC_ROOT}/ImageSets/Main/{split}.txt", lines(ids))
        for sample, scene in sorted({**drawn, **extra}.items()):
            add(f"{VOC_ROOT}/JPEGImages/{sample}.jpg", jpeg(scene.photograph))


def _write_labels(path: Path, names: list[str], drawn: Mapping[str, Scene]) -> None:
    originals = np.array([0, *ORIGINALS], np.uint16)
    with tar_archive(path, packed=True) as add:
        add("labels.txt", _numbered(all_names(names)))
        for number, sample in enumerate(sorted(drawn)):
            originals[0] = _OTHERS[number % len(_OTHERS)]
            add(f"trainval/{sample}.mat", label_mat(originals[drawn[sample].labels]))


def _numbered(names: list[str]) -> bytes:
    return lines(f"{number}: {name}" for number, name in enumerate(names, start=1))
