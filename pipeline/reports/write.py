"""The files of the reports. What is not complete goes to `reports/partial/`.

Snakemake takes a report that lies in its place for made, even with results missing; so nothing but
the rules' complete reports may ever lie there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dmnet.files import to_json, write_text
from pipeline.errors import ResultError
from pipeline.experiments import PARAMS, Experiment
from pipeline.reports.build import cells_of
from pipeline.reports.claims.file import load_claims
from pipeline.reports.claims.judged import evaluate_claims
from pipeline.reports.dvc_views import curves_of, metrics_of, points_of
from pipeline.reports.markdown.claims import render_claims
from pipeline.reports.markdown.index import render_index
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.schemas import FigureReport, Report
from pipeline.reports.verdict import load_rules
from pipeline.results.files import read_result_file
from pipeline.results.schemas import Part

PARTIAL = "partial"


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Markdown, JSON and what DVC reads, in place of a partial one. Raises ResultError if a cell
    is missing."""
    table = report["table"]
    missing = [c["cell"] for c in cells_of(report) if c["source"] in ("pending", "failed")]
    if missing:
        raise ResultError(
            f"{folder}/{table}.md: no result for {', '.join(missing)}; run "
            f"`snakemake {folder}/{table}.md`, or `python -m pipeline report {table}` for what "
            "there is"
        )
    write_text(folder / f"{table}.json", to_json(report))
    write_text(folder / "metrics" / f"{table}.json", to_json(metrics_of(report)))
    write_text(folder / "metrics" / f"{table}.csv", points_of(report))
    write_text(folder / "metrics" / f"{table}-curves.csv", curves_of(report))
    write_text(folder / f"{table}.md", render_markdown(report))
    for suffix in ("md", "json"):
        (folder / PARTIAL / f"{table}.{suffix}").unlink(missing_ok=True)


def write_partial(report: dict[str, Any], folder: Path) -> Path:
    """What there is of a table by now; returns the Markdown's path."""
    path = folder / PARTIAL / f"{report['table']}.md"
    write_text(path.with_suffix(".json"), to_json(report))
    write_text(path, render_markdown(report))
    return path


def read_reports(
    experiment: Experiment, figures: Iterable[str], folder: Path
) -> dict[str, dict[str, Any]]:
    """The JSON reports of all tables and figures, by name. Raises RunError, ResultError."""
    schemas: dict[str, type[Part]] = dict.fromkeys(experiment.tables, Report) | dict.fromkeys(
        figures, FigureReport
    )
    return {
        name: read_result_file(folder / f"{name}.json", schema).model_dump(exclude_unset=True)
        for name, schema in schemas.items()
    }


def write_summary(
    experiment: Experiment, contents: dict[str, dict[str, Any]], folder: Path
) -> None:
    """Claims and index over the JSON reports of all tables and figures, by name."""
    reports = {name: content for name, content in contents.items() if name in experiment.tables}
    figures = {name: content for name, content in contents.items() if name not in reports}
    known = load_claims(PARAMS, experiment.tables)
    claims = evaluate_claims(known, reports, load_rules(PARAMS))
    preset = next(iter(reports.values()))["preset"]
    write_text(folder / "claims.json", to_json(claims))
    write_text(folder / "claims.md", render_claims(claims, preset))
    index = render_index(reports, preset["name"], preset["title"], figures)
    write_text(folder / "index.md", index)
