"""What the page is built from: the JSON reports, the claims, Figure 3 and the runs' histories."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dmnet.files import MAX_BYTES, read_bounded
from dmnet.text import reason
from pipeline.errors import ResultError
from pipeline.reports.model.claims import Claims
from pipeline.reports.model.report import Report
from pipeline.results.files import read_curve, read_result_file
from pipeline.results.schemas import HistoryRow

PNG = b"\x89PNG\r\n\x1a\n"


def read_inputs(
    tables: Iterable[str], folder: Path, preset: str, seeds: int
) -> tuple[dict[str, Report], Claims, bytes | None]:
    """The reports by table, the claims, and the PNG of Figure 3 if there is one.

    Raises RunError for a file that is missing or no JSON, ResultError for a report of another
    preset or number of seeds (numbers of two presets never stand on one page), for no PNG
    and for claims of an earlier version.
    """
    reports = {table: read_result_file(folder / f"{table}.json", Report) for table in tables}
    for table, report in reports.items():
        if (report.preset.name, report.seeds) != (preset, seeds):
            raise ResultError(
                f"{folder / table}.json: is of preset {report.preset.name!r} with {report.seeds} "
                f"seed(s), expected {preset!r} with {seeds}; write it anew with this preset"
            )
    figure = folder / "figure3.png"
    try:
        image = read_bounded(figure, MAX_BYTES) if figure.exists() else None
    except (OSError, ValueError) as error:
        raise ResultError(
            f"{figure}: cannot be read ({reason(error)}); delete it and make it again"
        ) from error
    if image is not None and not image.startswith(PNG):
        raise ResultError(f"{figure}: is no PNG; delete it and make it again")
    try:
        claims = read_result_file(folder / "claims.json", Claims)
    except ResultError as error:
        raise ResultError(f"{error}; or an earlier version wrote it") from error
    return reports, claims, image


def read_histories(
    reports: Iterable[Report], root: Path = Path(".")
) -> dict[str, list[HistoryRow]]:
    """Run key -> the rows of its history, for every run that a report names; may be empty."""
    keys = {run.run for report in reports for cell in report.cells for run in cell.runs}
    return {key: read_curve(root / "runs" / key) for key in sorted(keys)}
