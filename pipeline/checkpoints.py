"""params/checkpoints.yaml: the released checkpoints by name."""

from __future__ import annotations

from pathlib import Path

from dmnet.config import CheckpointConfig, parse
from dmnet.errors import ConfigError
from pipeline.errors import SpecError
from pipeline.yaml_files import load_yaml

FILE = "checkpoints.yaml"


def load_checkpoints(params: Path) -> dict[str, CheckpointConfig]:
    """All released checkpoints of `params/checkpoints.yaml`.

    Raises SpecError, naming the file, the checkpoint and the key.
    """
    path = params / FILE
    found = {}
    for name, value in load_yaml(path).items():
        where = f"{path}: {name}"
        if not isinstance(value, dict):
            raise SpecError(f"{where}: expected `zoo` and `files`, found {value!r}")
        try:
            found[name] = parse(CheckpointConfig, {"name": name, **value}, where)
        except ConfigError as error:
            raise SpecError(str(error)) from error
    return found
