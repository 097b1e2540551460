"""params/checkpoints.yaml: the released checkpoints by name, and fetching them."""

from __future__ import annotations

import fnmatch
import logging
from pathlib import Path

from dmnet.config import CheckpointConfig, parse
from dmnet.errors import CheckpointError
from pipeline.errors import SpecError
from pipeline.spec.yaml_files import load_yaml

FILE = "checkpoints.yaml"


def load_checkpoints(params: Path) -> dict[str, CheckpointConfig]:
    """By name. Raises SpecError or ConfigError, which name the checkpoint, too."""
    path = params / FILE
    checkpoints = {}
    for name, value in load_yaml(path).items():
        where = f"{path}: {name}"
        if not isinstance(value, dict):
            raise SpecError(f"{where}: expected `zoo` and `files`, found {value!r}")
        checkpoints[name] = parse(CheckpointConfig, {"name": name, **value}, where)
    return checkpoints


def fetch_checkpoints(params: Path, pattern: str, weights: Path, mirror: str | None = None) -> None:
    """Fetch the checkpoints whose name fits `pattern` (`*` and `?` as in a shell) into `weights`.

    One that cannot be had does not keep the others away; a server that does not answer does.
    mirror: as in dmnet.importers.fetching.fetch. Raises SpecError when no name fits,
    CheckpointError when any is lacking in the end, RunError when `weights` cannot be written.
    """
    from dmnet.importers.fetching import NoNetworkError, fetch

    checkpoints = load_checkpoints(params)
    names = fnmatch.filter(checkpoints, pattern)
    if not names:
        raise SpecError(
            f"no checkpoint is called {pattern!r}; see {params / FILE}, or give a pattern such as "
            "'dmnet_*_ade20k'"
        )
    failed = []
    for name in names:
        try:
            fetch(checkpoints[name].files, weights, mirror)
        except NoNetworkError:
            raise
        except CheckpointError as error:
            logging.error("%s: %s", name, error)
            failed.append(name)
    if failed:
        raise CheckpointError(
            f"{weights}: {len(failed)} of {len(names)} checkpoints are lacking "
            f"({', '.join(failed[:3])}{' ...' if len(failed) > 3 else ''}); the reasons stand above"
        )
