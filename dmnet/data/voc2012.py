"""PASCAL VOC 2012 with the extra labels of SBD: the 10,582-image `trainaug` split.

VOC: Everingham et al., "The PASCAL Visual Object Classes Challenge 2012". SBD: Hariharan et al.,
"Semantic Contours from Inverse Detectors", ICCV 2011. From the two published archives comes

    VOCdevkit/VOC2012/
    ├── JPEGImages/<id>.jpg
    ├── SegmentationClass/<id>.png     VOC's own labels, objects outlined with 255
    ├── SegmentationClassAug/<id>.png  the labels used: VOC's where there is one, else SBD's
    └── ImageSets/Segmentation/{train,val,trainval,trainaug}.txt

`trainaug` is VOC train plus every SBD image that is in neither VOC train nor VOC val.
"""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

from dmnet.config import DatasetConfig
from dmnet.data.archives import (
    check_disjoint,
    extract_tar,
    incomplete,
    locate,
    read_ids,
    unpacking,
)
from dmnet.data.guarded import read_matrix
from dmnet.data.manifest import clear, write_manifest
from dmnet.errors import DataError
from dmnet.files import write_text

VOC_ARCHIVE = "VOCtrainval_11-May-2012.tar"
SBD_ARCHIVE = "benchmark.tgz"
VOC_ROOT = "VOCdevkit/VOC2012"
SBD_ROOT = "benchmark_RELEASE/dataset"

_VOC_FOLDERS = ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")


def prepare(config: DatasetConfig, archives: Path, folder: Path) -> None:
    """From both archives in `archives`; see `prepare_dataset`."""
    clear(folder)
    voc_archive, sbd_archive = locate(config, archives, (VOC_ARCHIVE, SBD_ARCHIVE))
    with unpacking(folder, "VOCdevkit") as work:
        voc, sbd = work / VOC_ROOT, work / SBD_ROOT
        photographs = voc / "JPEGImages"
        extract_tar(voc_archive, work, _is_voc_member)
        extract_tar(sbd_archive, work, lambda path: _is_sbd_member(path, photographs))
        splits = _write_splits(voc, sbd)
        _write_labels(voc, sbd, splits)
    pairs = {
        split: [(f"JPEGImages/{i}.jpg", f"SegmentationClassAug/{i}.png") for i in ids]
        for split, ids in splits.items()
    }
    write_manifest(folder, config, folder / VOC_ROOT, pairs)


@cache
def palette() -> list[int]:
    """The colour map of VOC's label PNGs: 256 x (r, g, b), flat.

    Bits 0, 1, 2 of the index go to the top bit of red, green, blue, the next three bits to the
    second highest, and so on (VOCcolormap.m of the development kit).
    """
    colours = []
    for index in range(256):
        for channel in range(3):
            bits = [(index >> (3 * level + channel)) & 1 for level in range(3)]
            colours.append(sum(bit << (7 - level) for level, bit in enumerate(bits)))
    return colours


def coloured(labels: npt.NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(labels)
    image.putpalette(palette())
    return image


def read_sbd_label(path: Path) -> npt.NDArray[np.uint8]:
    """The category per pixel, uint8 (height, width), of an SBD `cls/<id>.mat` file.

    Raises DataError when it is no MATLAB 5 file or has no integer matrix GTcls.Segmentation.
    """
    labels = read_matrix(path, SBD_ARCHIVE, "GTcls", "Segmentation")
    if labels is None:
        raise DataError(
            f"{path.name}: no matrix GTcls.Segmentation of integers; "
            f"{SBD_ARCHIVE} is not SBD's published archive, download it again"
        )
    if labels.min() < 0 or labels.max() > 255:
        raise DataError(
            f"{path.name}: GTcls.Segmentation has values outside 0..255; "
            f"{SBD_ARCHIVE} is not SBD's published archive, download it again"
        )
    return labels.astype(np.uint8)


def _is_voc_member(path: PurePosixPath) -> bool:
    return any(path.is_relative_to(f"{VOC_ROOT}/{folder}") for folder in _VOC_FOLDERS)


def _is_sbd_member(path: PurePosixPath, photographs: Path) -> bool:
    if path.parent == PurePosixPath(SBD_ROOT, "img"):
        # SBD repeats VOC's photographs, more than a gigabyte of them.
        return not (photographs / path.name).exists()
    return path.parent == PurePosixPath(SBD_ROOT, "cls") or path in (
        PurePosixPath(SBD_ROOT, "train.txt"),
        PurePosixPath(SBD_ROOT, "val.txt"),
    )


def _write_splits(voc: Path, sbd: Path) -> dict[str, list[str]]:
    """Sample IDs of every split, sorted; writes `trainaug.txt` and `trainval.txt`."""
    lists = voc / "ImageSets/Segmentation"
    train = read_ids(lists / "train.txt", VOC_ARCHIVE)
    val = read_ids(lists / "val.txt", VOC_ARCHIVE)
    check_disjoint(train, val, VOC_ARCHIVE)
    extra = read_ids(sbd / "train.txt", SBD_ARCHIVE) | read_ids(sbd / "val.txt", SBD_ARCHIVE)
    splits = {
        "train": sorted(train),
        "val": sorted(val),
        "trainval": sorted(train | val),
        "trainaug": sorted(train | (extra - val)),
    }
    for split in ("trainval", "trainaug"):
        write_text(lists / f"{split}.txt", "".join(f"{i}\n" for i in splits[split]))
    return splits


def _write_labels(voc: Path, sbd: Path, splits: dict[str, list[str]]) -> None:
    """Fill SegmentationClassAug, and JPEGImages with what only SBD has."""
    target, photographs = voc / "SegmentationClassAug", voc / "JPEGImages"
    target.mkdir()
    photographs.mkdir(exist_ok=True)
    own = set(splits["trainval"])
    for sample in own:
        _copy(voc / "SegmentationClass" / f"{sample}.png", target, VOC_ARCHIVE)
    for sample in splits["trainaug"]:
        if sample in own:
            continue
        source = sbd / "cls" / f"{sample}.mat"
        if not source.is_file():
            raise incomplete(SBD_ARCHIVE, source)
        coloured(read_sbd_label(source)).save(target / f"{sample}.png")
        if not (photographs / f"{sample}.jpg").exists():
            _copy(sbd / "img" / f"{sample}.jpg", photographs, SBD_ARCHIVE)


def _copy(source: Path, target: Path, archive: str) -> None:
    if not source.is_file():
        raise incomplete(archive, source)
    shutil.copyfile(source, target / source.name)
