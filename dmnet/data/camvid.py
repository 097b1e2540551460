"""CamVid (Brostow et al., 2009) in the layout of the SegNet tutorial: 480x360, 11 classes, void.

    <original>/
    ├── train.txt, val.txt    `image label` per line, relative to this folder or to another
    ├── train/, val/          photographs
    └── trainannot/, valannot/ PNG labels: 0..10 are classes, 11 is void

Nothing is copied: the manifest points at the original folder. The published lists name the files by
where their authors had them (/SegNet/CamVid/train/...). Of such a path the end counts: it is the
same in everybody's copy.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dmnet.config import DatasetConfig
from dmnet.data.manifest import Pair, clear, read_list, write_manifest
from dmnet.errors import DataError

_JOINED, _PARTS = "trainval", ("train", "val")  # CamVid has no list for it


def prepare(config: DatasetConfig, original: Path | None, folder: Path) -> None:
    """Verify the splits of `config` in `original` and write the manifest into `folder`.

    Raises DataError when `original` is not given or not complete, or a sample is not valid.
    """
    clear(folder)
    splits = lists_of(config)
    if original is None:
        raise _missing(config, "its folder is not set", splits)
    if not original.is_dir():
        raise _missing(config, f"{original} is not a folder", splits)
    for split in splits:
        if not (original / f"{split}.txt").is_file():
            raise _missing(config, f"{original / split}.txt is missing", splits)
    pairs = {split: _pairs(original, split) for split in splits}
    if _JOINED in _asked(config):
        pairs[_JOINED] = [pair for part in _PARTS for pair in pairs[part]]
    write_manifest(folder, config, original, pairs)


def lists_of(config: DatasetConfig) -> list[str]:
    """The splits whose lists `<split>.txt` must lie in the original folder."""
    asked = _asked(config)
    return sorted((asked - {_JOINED}) | (set(_PARTS) if _JOINED in asked else set()))


def _asked(config: DatasetConfig) -> set[str]:
    return {*config.splits.values(), *config.counts}


def _pairs(original: Path, split: str) -> list[Pair]:
    listed = read_list(original / f"{split}.txt")
    return [
        (_in_original(original, image), _in_original(original, label)) for image, label in listed
    ]


def _in_original(original: Path, path: str) -> str:
    """A listed path relative to `original`: as it is, or the longest end of it that exists there.

    Where nothing of it exists, what the layout makes of an absolute path: its folder and name.
    """
    parts = PurePosixPath(path).parts
    absolute = path.startswith("/")
    if ".." in parts or (not absolute and (original / path).is_file()):
        return path  # a path that leaves the original folder is refused with all others
    ends = ["/".join(parts[start:]) for start in range(1, len(parts) - 1)]
    end_that_exists = next((end for end in ends if (original / end).is_file()), None)
    return end_that_exists or ("/".join(parts[-2:]) if absolute and ends else path)


def _missing(config: DatasetConfig, reason: str, splits: list[str]) -> DataError:
    layout = "; ".join(f"{split}.txt, {split}/, {split}annot/" for split in splits)
    return DataError(
        f"{config.name}: {reason}; expected a folder `{config.name}` with {layout} (lists of "
        "`image label` lines); say where it lies with `snakemake --config sources=PARENT-FOLDER`"
    )
