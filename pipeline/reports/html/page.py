"""`reports/overview.html`: everything that the reports say on one self-contained page.

It loads nothing, needs no JavaScript, and equal inputs give equal bytes.
"""

from __future__ import annotations

import base64
import html
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.escaping import one_line
from pipeline.reports.html.cells import STATUSES, ShownCell, anchor_of, shown
from pipeline.reports.html.plots import (
    Curve,
    Point,
    Style,
    curves_svg,
    scatter_svg,
    style_of,
    thinned,
)
from pipeline.reports.markdown.notes import notes_of
from pipeline.reports.markdown.origins import sections_of, short_value
from pipeline.reports.model.claims import Claims
from pipeline.reports.model.report import Report, ReportedSetting, is_cell
from pipeline.reports.numbers import interval_text, margin_text
from pipeline.results.made_by import commit_text
from pipeline.results.schemas import HistoryRow

TEMPLATES = Path(__file__).parent / "templates"
Histories = Mapping[str, list[HistoryRow]]  # by run


def render_page(
    reports: Mapping[str, Report],
    claims: Claims,
    histories: Histories,
    figure: bytes | None = None,
) -> str:
    """HTML of the whole page; at least one report, all of one preset. Raises ResultError."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # `svg` is only ever given what plots.py made.
    environment.filters |= {"svg": Markup, "value": short_value, "parts": _label}
    environment.filters |= {"margin": margin_text, "interval": interval_text}
    environment.tests["cell"] = is_cell
    tables = [_table(report, histories) for report in reports.values()]
    statuses = Counter(cell.status for table in tables for cell in table.cells.values())
    commits = {commit_text(code) for report in reports.values() for code in report.code}
    first = next(iter(reports.values()))
    page = environment.get_template("overview.html.j2").render(
        preset=first.preset,
        seeds=first.seeds,
        commits=sorted(commit.replace("`", "") for commit in commits),
        statuses=STATUSES,
        counts=statuses,
        total=sum(statuses.values()),
        tables=tables,
        scatters=_scatters(reports),
        claims=claims.root,
        claim_counts=[
            ("On the paper's numbers", Counter(claim.paper.status for claim in claims.root)),
            ("On ours", Counter(claim.ours.status for claim in claims.root)),
        ],
        figure=None if figure is None else base64.b64encode(figure).decode(),
    )
    return page.rstrip() + "\n"


@dataclass(frozen=True)
class _Curves:
    """Of a table's runs: loss and validation mIoU."""

    plots: list[tuple[str, str]]  # label, SVG
    legend: list[tuple[str, str, Style, str]]  # cells, run, style, anchor
    missing: list[str]  # runs without a history


@dataclass(frozen=True)
class _Table:
    report: Report
    cells: dict[str, ShownCell]  # by name, in reading order
    notes: list[str]
    settings: list[tuple[str, list[ReportedSetting]]]  # by title
    curves: _Curves | None


def _table(report: Report, histories: Histories) -> _Table:
    entries = ((row.get(column), column) for row in report.rows for column in report.columns)
    return _Table(
        report,
        {c.cell: shown(c, report.decimals_of(at)) for c, at in entries if is_cell(c)},
        [note.replace("`", "") for note in notes_of(report, one_line)],
        sections_of(report),
        _curves(report, histories),
    )


def _label(entry: str | float | None, decimals: int) -> list[tuple[str, str | None]]:
    return linked(f"{entry:.{decimals}f} (quoted)" if isinstance(entry, float) else entry or "")


LINK = re.compile(r"\[([^\]]*)\]\((https?://[^)\s]+)\)")


def linked(text: str) -> list[tuple[str, str | None]]:
    """A label as (text, address) parts: its Markdown links, and what stands between them."""
    parts: list[tuple[str, str | None]] = []
    end = 0
    for match in LINK.finditer(text):
        parts += [(text[end : match.start()], None), (match[1], match[2])]
        end = match.end()
    parts.append((text[end:], None))
    return [(html.unescape(word), link) for word, link in parts if word]


def _curves(report: Report, histories: Histories) -> _Curves | None:
    """None if no cell of it is trained."""
    names: dict[str, list[str]] = {}  # run -> the cells that it serves
    anchors: dict[str, str] = {}
    for cell in report.cells:
        for run in cell.runs:
            seed = f" (seed {run.seed})" if report.seeds > 1 else ""
            names.setdefault(run.run, []).append(cell.name + seed)
            anchors.setdefault(run.run, anchor_of(cell))
    if not names:
        return None
    styles = {run: style_of(n) for n, run in enumerate(run for run in names if histories.get(run))}
    losses, scores = [], []
    for key, style in styles.items():
        rows = histories[key]
        found = [(r.iteration, r.loss) for r in rows if r.loss is not None]
        losses.append(Curve(style, thinned(found)))
        found = [(r.iteration, 100 * r.val_miou) for r in rows if r.val_miou is not None]
        scores.append(Curve(style, thinned(found)))
    plots = []
    named = {"training loss": ("loss", losses), "validation mIoU, %": ("val_miou", scores)}
    for label, (name, curves) in named.items():
        if drawn := [curve for curve in curves if curve.points]:
            plots.append((label, curves_svg(f"{report.table}-{name}", drawn, label)))
    return _Curves(
        plots,
        [(", ".join(names[run]), run, style, anchors[run]) for run, style in styles.items()],
        [run for run in names if run not in styles],
    )


@dataclass(frozen=True)
class _Scatter:
    metric: str
    svg: str
    legend: list[tuple[str, Style]]  # table
    count: int


def _scatters(reports: Mapping[str, Report]) -> list[_Scatter]:
    """One plot a metric and its unit: mIoU, IoU of single classes, and each counted quantity."""
    styles = {name: style_of(number) for number, name in enumerate(reports)}
    groups: dict[str, list[tuple[str, Point]]] = {}
    for name, report in reports.items():
        for cell in report.cells:
            if cell.ours is None or cell.published is None or cell.speed:
                continue  # a speed of another device is no point to compare with
            text = shown(cell, report.decimals)
            point = Point(styles[name], cell.published, cell.ours, text.title, text.anchor)
            metric = "IoU of a class, %" if cell.metric.startswith("iou.") else "mIoU, %"
            if cell.profile:
                metric = f"{cell.metric.replace('_', ' ')} ({report.unit})"
            groups.setdefault(metric, []).append((name, point))
    return [
        _Scatter(
            metric,
            scatter_svg(f"scatter-{number}", [point for _, point in points]),
            [(name, styles[name]) for name in dict.fromkeys(name for name, _ in points)],
            len(points),
        )
        for number, (metric, points) in enumerate(groups.items())
    ]
