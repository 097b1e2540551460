"""CamVid (Brostow et al., 2009) in the layout of the SegNet tutorial: 480x360, 11 classes, void.

    <source>/
    ├── train.txt, val.txt    `image label` per line, relative to the source or to another folder
    ├── train/, val/          photographs
    └── trainannot/, valannot/ PNG labels: 0..10 are classes, 11 is void

Nothing is copied: the manifest points at the source. The published lists name the files by where
their authors had them (/SegNet/CamVid/train/...): of such a path its end counts, which is the same
in everybody's copy.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dmnet.config import DatasetConfig
from dmnet.data.manifest import Pair, clear, read_list, write_manifest
from dmnet.errors import DataError

_JOINED, _PARTS = "trainval", ("train", "val")  # CamVid has no list for it


def prepare(config: DatasetConfig, source: Path | None, folder: Path) -> None:
    """Verify the splits of `config` in `source` and write the manifest into `folder`.

    Raises DataError when the source is not given or not complete, or a sample is not valid.
    """
    clear(folder)
    splits = lists_of(config)
    if source is None:
        raise _missing(config, "its folder is not set", splits)
    if not source.is_dir():
        raise _missing(config, f"{source} is not a folder", splits)
    for split in splits:
        if not (source / f"{split}.txt").is_file():
            raise _missing(config, f"{source / split}.txt is missing", splits)
    pairs = {split: _pairs(source, split) for split in splits}
    if _JOINED in _asked(config):
        pairs[_JOINED] = [pair for part in _PARTS for pair in pairs[part]]
    write_manifest(folder, config, source, pairs)


def lists_of(config: DatasetConfig) -> list[str]:
    """The splits whose lists `<split>.txt` must lie in the source."""
    asked = _asked(config)
    return sorted((asked - {_JOINED}) | (set(_PARTS) if _JOINED in asked else set()))


def _asked(config: DatasetConfig) -> set[str]:
    return {*config.splits.values(), *config.counts}


def _pairs(source: Path, split: str) -> list[Pair]:
    listed = read_list(source / f"{split}.txt")
    return [(_in_source(source, image), _in_source(source, label)) for image, label in listed]


def _in_source(source: Path, path: str) -> str:
    """A listed path relative to the source: as it is, or the longest end of it that exists there.

    Where nothing of it exists, what the layout makes of an absolute path: its folder and name.
    """
    parts = PurePosixPath(path).parts
    absolute = path.startswith("/")
    if ".." in parts or (not absolute and (source / path).is_file()):
        return path  # a path that leaves the source is refused with all others
    ends = ["/".join(parts[start:]) for start in range(1, len(parts) - 1)]
    found = next((end for end in ends if (source / end).is_file()), None)
    return found or ("/".join(parts[-2:]) if absolute and ends else path)


def _missing(config: DatasetConfig, reason: str, splits: list[str]) -> DataError:
    layout = "; ".join(f"{split}.txt, {split}/, {split}annot/" for split in splits)
    return DataError(
        f"{config.name}: {reason}; expected a folder `{config.name}` with {layout} (lists of "
        "`image label` lines); say where it lies with `snakemake --config sources=PARENT-FOLDER`"
    )
