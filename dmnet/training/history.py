"""The run's curve as JSON lines: what MLflow, DVC and the reports read.

One object per line: {"iteration": i, "loss": ..., "lr": ...} or {"iteration": i, "val_miou": ...},
where `iteration` counts finished iterations. No times in it: equal runs have equal histories.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dmnet.errors import RunError
from dmnet.files import parse_json, read_bounded, write_text
from dmnet.text import reason

MAX_BYTES = 2**28  # a run of 160,000 iterations, all logged, writes 20 MB


def _dump(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, allow_nan=False)


def read_history(path: Path) -> list[dict[str, Any]]:
    """All rows up to the first that is not whole (a kill may cut the last one short).

    Of a whole one `iteration` counts, and every other value is a finite number or None. No
    rows where there is no file. Raises RunError where something else is in its place.
    """
    rows = []
    try:
        content = read_bounded(path, MAX_BYTES)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: cannot be read ({reason(error)}); restore it or train again"
        ) from error
    for line in content.decode(errors="replace").splitlines():
        try:
            row = parse_json(line)
        except ValueError:
            break
        if not isinstance(row, dict) or type(row.get("iteration")) is not int:
            break
        if not all(value is None or type(value) in (int, float) for value in row.values()):
            break
        rows.append(row)
    return rows


class History:
    """Appends rows to `path`; on resuming, rows after the resumed iteration are dropped first."""

    def __init__(self, path: Path, resumed_at: int) -> None:
        self.path = path
        kept = [row for row in read_history(path) if row["iteration"] <= resumed_at]
        write_text(path, "".join(_dump(row) + "\n" for row in kept))

    def append(self, row: dict[str, Any]) -> None:
        try:
            with self.path.open("a") as stream:
                stream.write(_dump(row) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be written ({error.strerror}); free space, then run again"
            ) from error
