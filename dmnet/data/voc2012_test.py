"""The photographs of PASCAL VOC 2012's segmentation test set. Their labels are secret.

Everingham et al., "The PASCAL Visual Object Classes Challenge 2012". The archive is on the VOC
evaluation server, which needs a login; of its photographs, most of which belong to other tasks,
those of the segmentation task are used:

    VOCdevkit/VOC2012/
    ├── JPEGImages/<id>.jpg
    └── ImageSets/Segmentation/test.txt    the ids, one per line
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dmnet.config import DatasetConfig
from dmnet.data.archives import extract_tar, incomplete, locate, read_ids, unpacking
from dmnet.data.manifest import NO_LABEL, clear, write_manifest
from dmnet.data.voc2012 import VOC_ROOT

TEST_ARCHIVE = "VOC2012test.tar"
SPLIT = "test"

_LIST = PurePosixPath(VOC_ROOT, "ImageSets/Segmentation/test.txt")
_PHOTOGRAPHS = PurePosixPath(VOC_ROOT, "JPEGImages")
_HOW = "register and log in at the VOC evaluation server http://host.robots.ox.ac.uk:8080, download"


def prepare(config: DatasetConfig, archives: Path, folder: Path) -> None:
    """From the archive in `archives`; see `prepare_dataset`.

    The one split, `test`, has images in the order of their ids and no labels.
    """
    clear(folder)
    (archive,) = locate(config, archives, (TEST_ARCHIVE,), _HOW)
    with unpacking(folder, "VOCdevkit") as work:
        # The list first, wherever in the archive it stands: it says which photographs are used.
        extract_tar(archive, work, lambda path: path == _LIST)
        ids = sorted(read_ids(work / _LIST, TEST_ARCHIVE))
        photographs = {_PHOTOGRAPHS / f"{sample}.jpg" for sample in ids}
        extract_tar(archive, work, lambda path: path in photographs)
        for path in sorted(photographs):
            if not (work / path).is_file():
                raise incomplete(TEST_ARCHIVE, work / path)
    pairs = {SPLIT: [(f"JPEGImages/{sample}.jpg", NO_LABEL) for sample in ids]}
    write_manifest(folder, config, folder / VOC_ROOT, pairs)
