"""Cityscapes, fine annotations: 34 label ids on disk, of which 19 are classes.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016. Two
archives, which need a login; `<id>` is `<city>_<sequence>_<frame>`:

    cityscapes/
    ├── leftImg8bit/{train,val}/<city>/<id>_leftImg8bit.png
    └── gtFine/{train,val}/<city>/<id>_gtFine_labelIds.png     0..33

The labels are copied unchanged; the dataset's `label_map` picks the classes. The archives' colour
images, instance ids and polygons are left there, and so is the test split: its labels are dummies.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dmnet.config import DatasetConfig
from dmnet.data.archives import Bounds, extract_zip, locate, unpacking
from dmnet.data.manifest import Pair, clear, write_manifest
from dmnet.errors import DataError

IMAGE_ARCHIVE = "leftImg8bit_trainvaltest.zip"
LABEL_ARCHIVE = "gtFine_trainvaltest.zip"
ROOT = "cityscapes"
SPLITS = ("train", "val")
IMAGE, LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"

_BOUNDS = Bounds(unpacked=32 * 2**30)  # the photographs have 11 GB
_HOW = "register and log in at https://www.cityscapes-dataset.com, download"


def prepare(config: DatasetConfig, archives: Path, folder: Path) -> None:
    """From both archives in `archives`; see `prepare_dataset`."""
    clear(folder)
    image_archive, label_archive = locate(config, archives, (IMAGE_ARCHIVE, LABEL_ARCHIVE), _HOW)
    with unpacking(folder, ROOT) as work:
        root = work / ROOT
        extract_zip(
            image_archive, root, lambda path: _is_sample(path, "leftImg8bit", IMAGE), _BOUNDS
        )
        extract_zip(label_archive, root, lambda path: _is_sample(path, "gtFine", LABEL))
        pairs = {split: _pairs(root, split) for split in SPLITS}
    write_manifest(folder, config, folder / ROOT, pairs)


def _is_sample(path: PurePosixPath, top: str, suffix: str) -> bool:
    in_split = any(path.parent.parent == PurePosixPath(top, split) for split in SPLITS)
    return in_split and path.name.endswith(suffix)


def _pairs(root: Path, split: str) -> list[Pair]:
    images = _samples(root / "leftImg8bit" / split, IMAGE)
    labels = _samples(root / "gtFine" / split, LABEL)
    for archive, missing in ((LABEL_ARCHIVE, images - labels), (IMAGE_ARCHIVE, labels - images)):
        if missing:
            raise DataError(
                f"{archive}: {split}/{min(missing)} is not in it, but in the other archive; "
                "download both published archives"
            )
    if not images:
        raise DataError(
            f"{IMAGE_ARCHIVE}: no file leftImg8bit/{split}/<city>/<id>{IMAGE} in it; "
            "download the published archive"
        )
    return [
        (f"leftImg8bit/{split}/{sample}{IMAGE}", f"gtFine/{split}/{sample}{LABEL}")
        for sample in sorted(images)
    ]


def _samples(folder: Path, suffix: str) -> set[str]:
    """`<city>/<id>` of every file of one kind."""
    return {
        f"{path.parent.name}/{path.name.removesuffix(suffix)}"
        for path in folder.glob(f"*/*{suffix}")
    }
