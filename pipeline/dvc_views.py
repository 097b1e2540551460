"""A report as `dvc metrics` and `dvc plots` read it (dvc.yaml names these files)."""

from __future__ import annotations

import csv
import io
from typing import Any

from pipeline.report import cells_of


def _name(cell: dict[str, Any]) -> str:
    return str(cell["cell"]).split("/", 1)[1]


def metrics_of(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    """cell -> its numbers; what is pending has no entry."""
    return {
        _name(cell): {
            name: cell[name]
            for name in ("published", "ours", "difference", "spread")
            if cell[name] is not None
        }
        for cell in cells_of(report)
        if cell["ours"] is not None
    }


def points_of(report: dict[str, Any]) -> str:
    """CSV: one line per cell with both numbers."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["cell", "published", "ours"])
    for cell in cells_of(report):
        # Speed and memory are of two devices, and no mIoU.
        if cell["ours"] is not None and cell["published"] is not None and not cell.get("speed"):
            writer.writerow([_name(cell), cell["published"], cell["ours"]])
    return stream.getvalue()
