"""The files of the reports. What is not complete goes to `reports/partial/`.

Snakemake takes a report that lies in its place for made, even with results missing; so nothing but
the rules' complete reports may ever lie there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dmnet.files import to_json, write_text
from pipeline.errors import ResultError
from pipeline.experiments import PARAMS, Experiment
from pipeline.reports.claims.file import load_claims
from pipeline.reports.claims.judged import evaluate_claims
from pipeline.reports.dvc_views import curves_of, metrics_of, points_of
from pipeline.reports.markdown.claims import render_claims
from pipeline.reports.markdown.index import render_index
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.model.base import json_of
from pipeline.reports.model.figure import FigureReport
from pipeline.reports.model.report import Report
from pipeline.reports.verdict import load_rules
from pipeline.results.files import read_result_file

PARTIAL = "partial"


def write_report(report: Report, folder: Path) -> None:
    """Markdown, JSON and what DVC reads, in place of a partial one. Raises ResultError if a cell
    is missing."""
    table = report.table
    if missing := report.lacking("pending", "failed"):
        raise ResultError(
            f"{folder}/{table}.md: no result for {', '.join(missing)}; run "
            f"`snakemake {folder}/{table}.md`, or `python -m pipeline report {table}` for what "
            "there is"
        )
    write_text(folder / f"{table}.json", json_of(report))
    write_text(folder / "metrics" / f"{table}.json", to_json(metrics_of(report)))
    write_text(folder / "metrics" / f"{table}.csv", points_of(report))
    write_text(folder / "metrics" / f"{table}-curves.csv", curves_of(report))
    write_text(folder / f"{table}.md", render_markdown(report))
    for suffix in ("md", "json"):
        (folder / PARTIAL / f"{table}.{suffix}").unlink(missing_ok=True)


def write_partial(report: Report, folder: Path) -> Path:
    """What there is of a table by now; returns the Markdown's path."""
    path = folder / PARTIAL / f"{report.table}.md"
    write_text(path.with_suffix(".json"), json_of(report))
    write_text(path, render_markdown(report))
    return path


def read_reports(tables: Iterable[str], folder: Path) -> dict[str, Report]:
    """By table. Raises RunError or ResultError for one that is missing or damaged."""
    return {table: read_result_file(folder / f"{table}.json", Report) for table in tables}


def write_summary(experiment: Experiment, figures: Iterable[str], folder: Path) -> None:
    """Claims and index over the JSON reports of all tables and figures."""
    reports = read_reports(experiment.tables, folder)
    shown = {name: read_result_file(folder / f"{name}.json", FigureReport) for name in figures}
    known = load_claims(PARAMS, experiment.tables)
    claims = evaluate_claims(known, reports, load_rules(PARAMS))
    preset = next(iter(reports.values())).preset
    write_text(folder / "claims.json", json_of(claims))
    write_text(folder / "claims.md", render_claims(claims, preset))
    write_text(folder / "index.md", render_index(reports, shown, preset))
