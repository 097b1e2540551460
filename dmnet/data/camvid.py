"""CamVid (Brostow et al., 2009) in the layout of the SegNet tutorial: 480x360, 11 classes, void.

    <source>/
    ├── train.txt, val.txt    `image label` per line, relative to the source
    ├── train/, val/          photographs
    └── trainannot/, valannot/ PNG labels: 0..10 are classes, 11 is void

Nothing is copied: the manifest points at the source.
"""

from __future__ import annotations

from pathlib import Path

from dmnet.config import DatasetConfig
from dmnet.data.manifest import clear, read_list, write_manifest
from dmnet.errors import DataError


def prepare(config: DatasetConfig, source: Path | None, folder: Path) -> None:
    """Verify the splits of `config` in `source` and write the manifest into `folder`.

    Raises DataError when the source is not given or not complete, or a sample is not valid.
    """
    clear(folder)
    splits = sorted({*config.splits.values(), *config.counts})
    if source is None:
        raise _missing(config, "its folder is not set", splits)
    if not source.is_dir():
        raise _missing(config, f"{source} is not a folder", splits)
    # CamVid has no list for it: train and val together.
    joined = [split for split in splits if split == "trainval"]
    splits = [split for split in splits if split not in joined]
    for split in splits:
        if not (source / f"{split}.txt").is_file():
            raise _missing(config, f"{source / split}.txt is missing", splits)
    pairs = {split: read_list(source / f"{split}.txt") for split in splits}
    for split in joined:
        pairs[split] = [pair for part in splits for pair in pairs[part]]
    write_manifest(folder, config, source, pairs)


def _missing(config: DatasetConfig, reason: str, splits: list[str]) -> DataError:
    layout = "; ".join(f"{split}.txt, {split}/, {split}annot/" for split in splits)
    return DataError(
        f"{config.name}: {reason}; expected a folder `{config.name}` with {layout} (lists of "
        "`image label` lines); say where it lies with `snakemake --config sources=PARENT-FOLDER`"
    )
