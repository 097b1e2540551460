"""A report as `dvc metrics` and `dvc plots` read it (dvc.yaml names these files)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from pipeline.reports.model.report import Report, ReportedCell
from pipeline.results.files import read_curve
from pipeline.results.schemas import HistoryRow


def metrics_of(report: Report) -> dict[str, dict[str, float]]:
    """cell -> its numbers; what is pending has no entry."""
    return {cell.name: _numbers(cell) for cell in report.cells if cell.ours is not None}


def _numbers(cell: ReportedCell) -> dict[str, float]:
    numbers = {"published": cell.published, "ours": cell.ours}
    numbers |= {"difference": cell.difference, "spread": cell.spread}
    return {name: number for name, number in numbers.items() if number is not None}


def points_of(report: Report) -> str:
    """CSV: one line per cell with both numbers."""
    # Speed and memory are of two devices, and no mIoU.
    cells = [cell for cell in report.cells if cell.ours is not None and not cell.speed]
    lines = [(c.name, c.published, c.ours) for c in cells if c.published is not None]
    return _csv(("cell", "published", "ours"), lines)


def curves_of(report: Report, root: Path = Path(".")) -> str:
    """CSV: cell, run, iteration and the trained runs' curves there, empty where not measured.

    A run that serves several cells stands under each, as a plot is looked at by cell.
    """
    lines: list[tuple[object, ...]] = []
    for cell in report.cells:
        for key in dict.fromkeys(run.run for run in cell.runs):
            rows: dict[int, HistoryRow] = {}
            for row in read_curve(root / "runs" / key):
                known = rows.setdefault(row.iteration, row)
                rows[row.iteration] = known.model_copy(update=row.model_dump(exclude_unset=True))
            for iteration, row in sorted(rows.items()):
                lines.append((cell.name, key, iteration, row.val_miou, row.loss, row.lr))
    return _csv(("cell", "run", "iteration", "val_miou", "loss", "lr"), lines)


def _csv(head: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([head, *lines])
    return stream.getvalue()
