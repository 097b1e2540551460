"""No default of a schema is used in silence: each field of a configuration has a setting.

A user's new head, a new field of a schema: the error names the file that the missing line belongs
to and the value that the default would have given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dmnet.config import Section
from pipeline.errors import SpecError
from pipeline.spec.settings import ORIGINS, Settings, unlisted


def require_origins(config: Section, settings: Settings, file_of: Callable[[str], Path]) -> None:
    """Raise SpecError unless every field of `config` was given by one of `settings`.

    file_of: path of a setting -> the file that it belongs to.
    """
    missing = unlisted(config)
    if not missing:
        return
    path = next(iter(missing))
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        given = settings.get(whole := ".".join(parts[:end]))
        if given is not None:  # a value with parts of its own
            where = file_of(path) if given.origin in ORIGINS else given.source
            raise SpecError(f"{where}: `{whole}` leaves out {_values(missing)}; say it there, too")
    raise without_origin(file_of(path), missing)


def without_origin(file: Path, missing: Mapping[str, Any]) -> SpecError:
    """The settings that `file` lacks: path -> the default that they would have."""
    path, value = next(iter(missing.items()))
    line = f'{path.rpartition(".")[-1]}: {{value: {_in_yaml(value)}, assumed: "why"}}'
    return SpecError(
        f"{file}: no origin for {_values(missing)}; for each write a line such as `{line}` "
        f"(or {', '.join(origin for origin in ORIGINS if origin != 'assumed')})"
    )


def _values(missing: Mapping[str, Any]) -> str:
    return ", ".join(f"`{path}` ({_in_yaml(value)})" for path, value in missing.items())


def _in_yaml(value: Any) -> str:
    plain = value.model_dump(mode="json") if isinstance(value, Section) else value
    return json.dumps(plain, ensure_ascii=False)
