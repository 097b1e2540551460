"""A report as `dvc metrics` and `dvc plots` read it (dvc.yaml names these files)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from dmnet.training.history import read_history
from pipeline import paths
from pipeline.reports.build import cells_of

CURVE = ("val_miou", "loss", "lr")


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


def curves_of(report: dict[str, Any], root: Path = Path(".")) -> str:
    """CSV: cell, run, iteration and the trained runs' curves there, empty where not measured.

    A run that serves several cells stands under each, as a plot is looked at by cell.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["cell", "run", "iteration", *CURVE])
    for cell in cells_of(report):
        for key in dict.fromkeys(run["run"] for run in cell.get("runs") or ()):
            rows: dict[int, dict[str, float]] = {}
            for row in read_history(root / paths.history(str(key))):
                rows.setdefault(row["iteration"], {}).update(row)
            for iteration, row in sorted(rows.items()):
                values = [row.get(name, "") for name in CURVE]
                writer.writerow([_name(cell), key, iteration, *values])
    return stream.getvalue()
