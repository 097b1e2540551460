"""ADE20K as in the scene parsing challenge of 2016: 150 classes.

Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017. One archive, used as it is:

    ADEChallengeData2016/
    ├── images/{training,validation}/<id>.jpg         some are grayscale or CMYK
    └── annotations/{training,validation}/<id>.png    0 other objects, 1..150 the classes

The labels are copied unchanged; the dataset's `label_map` ignores 0 and shifts the classes.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dmnet.config import DatasetConfig
from dmnet.data.archives import extract_zip, locate, unpacking
from dmnet.data.manifest import Pair, clear, write_manifest
from dmnet.errors import DataError

ARCHIVE = "ADEChallengeData2016.zip"
ROOT = "ADEChallengeData2016"
SPLITS = ("training", "validation")

_SUFFIXES = {"images": ".jpg", "annotations": ".png"}


def prepare(config: DatasetConfig, archives: Path, folder: Path) -> None:
    """From the archive in `archives`; see `prepare_dataset`."""
    clear(folder)
    (archive,) = locate(config, archives, (ARCHIVE,))
    with unpacking(folder, ROOT) as work:
        extract_zip(archive, work, _is_sample)
        pairs = {split: _pairs(work / ROOT, split) for split in SPLITS}
    write_manifest(folder, config, folder / ROOT, pairs)


def _is_sample(path: PurePosixPath) -> bool:
    return any(
        path.parent == PurePosixPath(ROOT, kind, split) and path.suffix == suffix
        for kind, suffix in _SUFFIXES.items()
        for split in SPLITS
    )


def _pairs(root: Path, split: str) -> list[Pair]:
    images, labels = (
        {path.stem for path in (root / kind / split).glob(f"*{suffix}")}
        for kind, suffix in _SUFFIXES.items()
    )
    if not images:
        raise DataError(
            f"{ARCHIVE}: no file {ROOT}/images/{split}/<id>.jpg in it; "
            "download the published archive"
        )
    if alone := sorted(images ^ labels):
        lacks = "label" if alone[0] in images else "image"
        raise DataError(
            f"{ARCHIVE}: {split}/{alone[0]} has no {lacks}; download the published archive"
        )
    return [(f"images/{split}/{i}.jpg", f"annotations/{split}/{i}.png") for i in sorted(images)]
