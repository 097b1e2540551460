"""What was evaluated, by which protocol; for a released checkpoint, which published file."""

from __future__ import annotations

from pathlib import Path

from pipeline import paths
from pipeline.experiments import Cell, Evaluation, Release
from pipeline.experiments.jobs import protocol_text
from pipeline.inspection.show.number import metric_name
from pipeline.inspection.show.text import UNKNOWN, Lines, code_text, entry_at, file_here, recorded
from pipeline.results.of_cells import CellResult, RunResult
from pipeline.results.schemas import Imported, read_result_file


def release_lines(release: Release, result: CellResult, root: Path) -> Lines:
    """Which published file was evaluated, and what proves that it is it."""
    lines = [
        ("folder", paths.run(release.key, paths.RELEASED)),
        ("published by", release.job.run.checkpoint.zoo),
        ("serves", ", ".join(release.cells)),
    ]
    if result.released is None:
        files = release.job.run.checkpoint.files
        return [*lines, ("file", f"pending; weights/{files[0].file}"), ("from", files[0].urls[0])]
    file = entry_at(result.released.trained, "checkpoint")
    path = root / paths.run(release.key, paths.RELEASED) / paths.IMPORTED
    imported = read_result_file(path, Imported) if path.exists() else None
    proof = "SHA-256 as published" if entry_at(file, "verified") else "no published hash: unproven"
    return [
        *lines,
        ("file", recorded(entry_at(file, "file"))),
        ("from", recorded(entry_at(file, "url"))),
        ("SHA-256", f"{recorded(entry_at(file, 'sha256'))} ({proof})"),
        ("imported by", code_text(imported) if imported else UNKNOWN),
        ("made by", recorded(entry_at(imported, "repeat"))),
        ("log", file_here(paths.log(paths.trained(release.key, paths.RELEASED)), root)),
    ]


def evaluation_lines(
    cell: Cell, evaluation: Evaluation, measured: RunResult | None, root: Path
) -> Lines:
    lines = [
        ("evaluation", evaluation.name),
        ("split", evaluation.config.split),
        ("protocol", protocol_text(evaluation.config.inference)),
        ("result", file_here(evaluation.path, root)),
        ("its log", file_here(paths.log(evaluation.path), root)),
    ]
    if measured is None:
        return [*lines, (metric_name(cell), "pending")]
    value = "none: no such class" if measured.value is None else f"{measured.value:.2f}"
    lines += [
        ("images", recorded(entry_at(measured.metrics, "images"))),
        ("measured on", measured.measured_on),
        *([("measured by", code_text(measured.metrics))] if "code" in measured.metrics else []),
        (metric_name(cell), value),
    ]
    return lines
