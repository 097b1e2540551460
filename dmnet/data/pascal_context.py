"""Pascal-Context: VOC 2010's photographs, every pixel labelled; 59 classes and background.

Mottaghi et al., "The Role of Context for Object Detection and Semantic Segmentation in the Wild",
CVPR 2014. Two archives and a list, as published:

    VOCtrainval_03-May-2010.tar    photographs, and the lists of the splits
    trainval.tar.gz                labels.txt (459 names), trainval/<id>.mat (`LabelMap`: 0..459)
    59_labels.txt                  the names of the 59 most frequent of them

    VOCdevkit/VOC2010/
    ├── JPEGImages/<id>.jpg                  those that have a label
    ├── SegmentationClassContext/<id>.png    0 background (all else), 1..59 the classes
    └── ImageSets/SegmentationContext/{train,val}.txt

Classes are numbered in the order of their 459 ids, as in the released checkpoints (and not in the
order of 59_labels.txt). Whether 0 is a class or ignored is for the dataset's `label_map` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from dmnet.config import DatasetConfig
from dmnet.data.archives import (
    check_disjoint,
    extract_tar,
    incomplete,
    locate,
    read_ids,
    unpacking,
)
from dmnet.data.decode import list_text
from dmnet.data.guarded import read_matrix
from dmnet.data.manifest import clear, write_manifest
from dmnet.data.voc2012 import coloured
from dmnet.errors import ConfigError, DataError
from dmnet.files import write_text
from dmnet.text import reason

VOC_ARCHIVE = "VOCtrainval_03-May-2010.tar"
LABEL_ARCHIVE = "trainval.tar.gz"
FREQUENT = "59_labels.txt"
VOC_ROOT = "VOCdevkit/VOC2010"
CLASSES = 59

# The only names that the two published lists spell differently: 59_labels.txt -> labels.txt.
SPELLINGS = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}

_SPLITS = ("train", "val")
_LISTS = "ImageSets/SegmentationContext"
_LABELS = "SegmentationClassContext"


def prepare(config: DatasetConfig, archives: Path, folder: Path) -> None:
    """From the published files in `archives`; see `prepare_dataset`."""
    clear(folder)
    voc_archive, label_archive, frequent = locate(
        config, archives, (VOC_ARCHIVE, LABEL_ARCHIVE, FREQUENT)
    )
    with unpacking(folder, "VOCdevkit") as work:
        voc = work / VOC_ROOT
        labels = work / "trainval"
        extract_tar(label_archive, work, _is_label_member)
        extract_tar(voc_archive, work, lambda path: _is_voc_member(path, labels))
        lookup = class_lookup(config, work / "labels.txt", frequent)
        splits = _write_splits(voc, labels)
        _write_labels(voc, labels, lookup, splits)
    pairs = {
        split: [(f"JPEGImages/{i}.jpg", f"{_LABELS}/{i}.png") for i in ids]
        for split, ids in splits.items()
    }
    write_manifest(folder, config, folder / VOC_ROOT, pairs)


def class_lookup(config: DatasetConfig, names: Path, frequent: Path) -> npt.NDArray[np.uint8]:
    """original id 0..459 -> 0 (background) or class 1..59, by the names of the two lists.

    Raises DataError when a list is not valid or a name of `frequent` is not in `names`, and
    ConfigError when the classes of `config` are others.
    """
    all_names, chosen = read_names(names), read_names(frequent)
    if len(chosen) != CLASSES:
        raise DataError(
            f"{frequent}: {len(chosen)} names, expected {CLASSES}; download the published list"
        )
    ids = {name: number for number, name in enumerate(all_names, start=1)}
    originals: dict[int, str] = {}
    for name in chosen:
        spelled = name if name in ids else SPELLINGS.get(name, name)
        if spelled not in ids:
            raise DataError(
                f"{frequent}: `{name}` is not one of the {len(all_names)} names of {names.name} in "
                f"{LABEL_ARCHIVE}; download both published files"
            )
        originals[ids[spelled]] = spelled
    if len(originals) != CLASSES:
        raise DataError(
            f"{frequent}: two of its names are one class of {names.name}; "
            "download the published list"
        )
    in_order = [originals[number] for number in sorted(originals)]
    _check_classes(config, in_order)
    lookup = np.zeros(len(all_names) + 1, np.uint8)
    lookup[sorted(originals)] = np.arange(1, CLASSES + 1)
    return lookup


def read_names(path: Path) -> list[str]:
    """The names of a list of `number: name` lines, numbered from 1; spaces do not count."""
    try:
        lines = [line for line in list_text(path).splitlines() if line.strip()]
    except (DataError, ValueError) as error:
        raise DataError(
            f"{path.name}: missing or unreadable ({reason(error)}); download the published file"
        ) from error
    names: list[str] = []
    for line in lines:
        number, _, rest = line.partition(":")
        name = "".join(rest.split())
        if number.strip() != str(len(names) + 1) or not name or name in names:
            raise DataError(
                f"{path.name}: line {line!r}, expected `{len(names) + 1}: ` and a new name; "
                "download the published file"
            )
        names.append(name)
    return names


def read_label_map(path: Path, ids: int) -> npt.NDArray[np.integer]:
    """The original ids 0..`ids` per pixel, (height, width), of a `trainval/<id>.mat` file.

    Raises DataError when it is no MATLAB 5 file or has no such matrix LabelMap.
    """
    labels = read_matrix(path, LABEL_ARCHIVE, "LabelMap")
    if labels is None:
        raise DataError(
            f"{path.name}: no matrix LabelMap of integers; {LABEL_ARCHIVE} is not Pascal-Context's "
            "(Pascal-Part has one of the same name), download the published archive"
        )
    if labels.min() < 0 or labels.max() > ids:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise DataError(
            f"{path.name}: label {wrong}, expected 0..{ids}, the ids of labels.txt; "
            f"download the published {LABEL_ARCHIVE}"
        )
    return labels


def _check_classes(config: DatasetConfig, found: Sequence[str]) -> None:
    """The classes of `config` are the 59 in order, after a background if it has 60."""
    named = ["".join(name.split()) for name in config.classes]
    expected = list(found) if len(named) == CLASSES else [named[0], *found]
    if named == expected:
        return
    if len(named) != len(expected):
        raise ConfigError(
            f"{config.name}: {len(named)} `classes`; expected the {CLASSES} of {FREQUENT}, or a "
            "background before them"
        )
    at = next(i for i, name in enumerate(expected) if named[i] != name)
    raise ConfigError(
        f"{config.name}: `classes.{at}` is {named[at]}, expected {expected[at]}: the names of "
        f"{FREQUENT}, spelled and ordered as in labels.txt"
    )


def _is_label_member(path: PurePosixPath) -> bool:
    in_folder = path.parent == PurePosixPath("trainval") and path.suffix == ".mat"
    return in_folder or path == PurePosixPath("labels.txt")


def _is_voc_member(path: PurePosixPath, labels: Path) -> bool:
    if path.parent == PurePosixPath(VOC_ROOT, "JPEGImages"):
        return (labels / f"{path.stem}.mat").exists()
    return path in [PurePosixPath(VOC_ROOT, f"ImageSets/Main/{split}.txt") for split in _SPLITS]


def _write_splits(voc: Path, labels: Path) -> dict[str, list[str]]:
    """Sorted IDs of VOC's main train and val lists, without those that have no label."""
    annotated = {path.stem for path in labels.glob("*.mat")}
    if not annotated:
        raise DataError(
            f"{LABEL_ARCHIVE}: no file trainval/<id>.mat in it; download the published archive"
        )
    listed = {s: read_ids(voc / f"ImageSets/Main/{s}.txt", VOC_ARCHIVE) for s in _SPLITS}
    check_disjoint(listed["train"], listed["val"], VOC_ARCHIVE)
    splits = {split: sorted(ids & annotated) for split, ids in listed.items()}
    for split, ids in splits.items():
        write_text(voc / _LISTS / f"{split}.txt", "".join(f"{i}\n" for i in ids))
    return splits


def _write_labels(
    voc: Path, labels: Path, lookup: npt.NDArray[np.uint8], splits: dict[str, list[str]]
) -> None:
    target = voc / _LABELS
    target.mkdir()
    for sample in sorted({i for ids in splits.values() for i in ids}):
        photograph = voc / f"JPEGImages/{sample}.jpg"
        if not photograph.is_file():
            raise incomplete(VOC_ARCHIVE, photograph)
        original = read_label_map(labels / f"{sample}.mat", len(lookup) - 1)
        coloured(lookup[original]).save(target / f"{sample}.png")
