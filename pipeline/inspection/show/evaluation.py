"""What was evaluated, by which protocol; for a released checkpoint, which published file."""

from __future__ import annotations

from pathlib import Path

from pipeline import paths
from pipeline.experiments import Cell, Evaluation, Release
from pipeline.experiments.jobs import protocol_text
from pipeline.inspection.show.number import metric_name
from pipeline.inspection.show.text import UNKNOWN, Lines, code_text, file_here, measured_by
from pipeline.results.cells import CellResult, Measured
from pipeline.results.files import read_if_there
from pipeline.results.schemas import Imported


def release_lines(release: Release, result: CellResult, root: Path) -> Lines:
    """Which published file was evaluated, and what proves that it is it."""
    folder = paths.run(release.key, paths.RELEASED)
    lines = [
        ("folder", folder),
        ("published by", release.job.run.checkpoint.zoo),
        ("serves", ", ".join(release.cells)),
    ]
    if result.released is None:
        files = release.job.run.checkpoint.files
        return [*lines, ("file", f"pending; weights/{files[0].file}"), ("from", files[0].urls[0])]
    file = result.released.trained.checkpoint
    imported = read_if_there(root / folder / paths.IMPORTED, Imported)
    proof = "SHA-256 as published" if file.verified else "no published hash: unproven"
    return [
        *lines,
        ("file", file.file),
        ("from", file.url or UNKNOWN),
        ("SHA-256", f"{file.sha256} ({proof})"),
        ("imported by", code_text(imported.code) if imported else UNKNOWN),
        ("made by", imported and imported.repeat or UNKNOWN),
        ("log", file_here(paths.log(paths.trained(release.key, paths.RELEASED)), root)),
    ]


def evaluation_lines(
    cell: Cell, evaluation: Evaluation, measured: Measured | None, root: Path
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
    return [
        *lines,
        ("images", str(measured.metrics.images)),
        ("measured on", measured.measured_on),
        *measured_by(measured.metrics.code),
        (metric_name(cell), value),
    ]
