"""The number of a cell beside the published one."""

from __future__ import annotations

from pipeline import paths
from pipeline.experiments import Cell, Experiment
from pipeline.experiments.cells import TrainedCell
from pipeline.inspection.show.text import Lines
from pipeline.results.cells import CellResult


def number_lines(experiment: Experiment, result: CellResult) -> Lines:
    """Ours, the published one, what each is, and why one is missing."""
    cell, spec = result.cell, experiment.tables[result.cell.table]
    published = cell.spec.published
    lines = [
        ("report", paths.report(cell.table)),
        ("specification", f"params/tables/{cell.table}.yaml"),
        ("table", spec.title),
        ("row", cell.row),
        ("column", cell.column),
        ("metric", metric_name(cell)),
        ("unit", spec.unit),
        ("published", "none" if published is None else f"{published:.2f}"),
        ("published by", spec.source),
        ("ours", _ours(result)),
        ("difference", _difference(experiment, result)),
        ("source of ours", result.outcome),
    ]
    if (failed := result.failed_job) is not None:
        lines += [("failed", failed.error), ("its log", failed.log)]
    if result.official is not None:
        entry = result.official.result
        lines.append(("given by", f"{entry.source} ({entry.date}) for run {entry.run}"))
        lines.append(("measured here", ", ".join(f"{value:.2f}" for value in result.values) or "-"))
    if cell.spec.note:
        lines.append(("note", cell.spec.note))
    return lines


def metric_name(cell: Cell) -> str:
    if cell.spec.measure == "miou":
        return "mIoU"
    if cell.spec.measure.startswith("iou."):
        return f"IoU of {cell.spec.measure.removeprefix('iou.')}"
    return cell.spec.measure.replace("_", " ")


def _ours(result: CellResult) -> str:
    seeds = len(result.cell.evaluations) if isinstance(result.cell, TrainedCell) else 0
    if result.outcome == "pending":
        return f"pending ({len(result.runs)} of {seeds} seeds measured)" if seeds else "pending"
    if result.ours is None:
        return "none: the class does not occur in the data"
    if result.cell.of_one_device:
        return f"{result.ours:.4g}"
    if result.outcome in ("profiled", "official"):
        return f"{result.ours:.2f}"
    if result.spread is None:
        return f"{result.ours:.2f} (one seed)"
    return f"{result.ours:.2f} ± {result.spread:.2f} (mean and deviation of {seeds} seeds)"


def _difference(experiment: Experiment, result: CellResult) -> str:
    if result.cell.of_one_device:
        return "none: measured on another device than the published one, never judged"
    if result.difference is None:
        return "pending" if result.outcome == "pending" else "none"
    shown = f"{result.difference:+.2f}"
    if result.outcome == "profiled" or experiment.preset.judged:
        return shown
    return f"{shown} (not judged: another scale than the published one)"
