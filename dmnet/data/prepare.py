"""Prepare any dataset: pick the preparation of its layout, draw a stand-in's archives first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from dmnet.config import DatasetConfig
from dmnet.data import ade20k, camvid, cityscapes, pascal_context, voc2012, voc2012_test
from dmnet.data.standins.ade20k import generate as generate_ade20k
from dmnet.data.standins.cityscapes import generate as generate_cityscapes
from dmnet.data.standins.pascal_context import generate as generate_pascal_context
from dmnet.data.standins.voc2012 import generate as generate_voc2012
from dmnet.data.standins.voc2012_test import generate as generate_voc2012_test
from dmnet.errors import ConfigError, DataError, RunError
from dmnet.lock import run_lock

# layout -> preparation of (config, archives, original, folder)
LAYOUTS: dict[str, Callable[[DatasetConfig, Path, Path | None, Path], None]] = {
    "voc2012aug": lambda config, archives, _, folder: voc2012.prepare(config, archives, folder),
    "voc2012_test": lambda config, archives, _, folder: voc2012_test.prepare(
        config, archives, folder
    ),
    "camvid": lambda config, _, original, folder: camvid.prepare(config, original, folder),
    "pascal_context": lambda config, archives, _, folder: pascal_context.prepare(
        config, archives, folder
    ),
    "ade20k": lambda config, archives, _, folder: ade20k.prepare(config, archives, folder),
    "cityscapes": lambda config, archives, _, folder: cityscapes.prepare(config, archives, folder),
}
# layout -> generator of a stand-in's archives
STANDINS: dict[str, Callable[[DatasetConfig, Path], None]] = {
    "voc2012aug": generate_voc2012,
    "voc2012_test": generate_voc2012_test,
    "pascal_context": generate_pascal_context,
    "ade20k": generate_ade20k,
    "cityscapes": generate_cityscapes,
}

# Not `archives`: that name may hold what a user downloaded, and this one is deleted.
_GENERATED = ".generated-archives"


def prepare_dataset(
    config: DatasetConfig, folder: Path, archives: Path, original: Path | None
) -> None:
    """Put the dataset of `config` into `folder`, verified, with a manifest written last.

    `archives` is the folder of downloaded archives and `original` the folder of a dataset that is
    used where it lies; each layout needs one of them, and a stand-in neither. Running it again
    starts over and gives the same result, whenever an earlier run was killed. One that a killed
    Snakemake left at work is waited for: it would delete what this one has made.

    Raises DataError when a file is missing or not valid, ConfigError when there is no stand-in for
    the layout, and RunError when the disk is full or a folder cannot be written.
    """
    if config.generate is not None and config.layout not in STANDINS:
        raise ConfigError(
            f"{config.name}: `generate` has no stand-in for layout {config.layout}; expected one "
            f"of {', '.join(sorted(STANDINS))}, or remove `generate`"
        )
    with run_lock(folder.parent / ".locks" / f"{folder.name}.lock", doing="prepared"):
        _prepare(config, folder, archives, original)


def _prepare(config: DatasetConfig, folder: Path, archives: Path, original: Path | None) -> None:
    generated = folder / _GENERATED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if generated.exists():
            shutil.rmtree(generated)
        if config.generate is not None:
            archives = generated
            STANDINS[config.layout](config, generated)
        LAYOUTS[config.layout](config, archives, original, folder)
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename or folder}: disappeared during the preparation; run it again"
        ) from error
    except OSError as error:
        raise RunError(
            f"{error.filename or folder}: cannot be read or written ({error.strerror or error}); "
            "free space or correct the permissions, then run the same command again"
        ) from error
    finally:
        shutil.rmtree(generated, ignore_errors=True)
