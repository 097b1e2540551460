"""`reports/overview.html`: everything that the reports say on one self-contained page.

The page is built from the JSON reports, the claims, Figure 3 and the runs' histories alone; it
loads nothing, needs no JavaScript, and equal inputs give equal bytes.
"""

from __future__ import annotations

import base64
import html
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmnet.files import MAX_BYTES, read_bounded
from dmnet.text import reason
from dmnet.training.history import read_history
from pipeline import paths
from pipeline.errors import ResultError
from pipeline.reports.build import cells_of, decimals_of, is_bold
from pipeline.reports.html.plots import (
    Curve,
    Point,
    Style,
    curves_svg,
    scatter_svg,
    style_of,
    thinned,
)
from pipeline.reports.markdown.claims import interval_text, margin_text
from pipeline.reports.markdown.table import SECTIONS, notes_of, number_text, short_value
from pipeline.reports.schemas import Claims, Report
from pipeline.results.files import read_result_file
from pipeline.results.made_by import commit_text
from pipeline.results.schemas import Code
from pipeline.shown import one_line

TEMPLATES = Path(__file__).parent / "templates"
PNG = b"\x89PNG\r\n\x1a\n"

# A cell's status: what the verdict says, or why there is none. Letter in the map, and meaning.
STATUSES = {
    "reproduced": ("R", "the published number is confirmed"),
    "not reproduced": ("N", "ours differs by more than the margin"),
    "inconclusive": ("I", "more seeds are needed to tell"),
    "not comparable": ("–", "measured, but on other data or at another scale, or unpublished"),
    "not judged": ("M", "measured; the report holds no verdict"),
    "pending": ("P", "not measured yet"),
    "failed": ("F", "its run failed"),
}


def read_inputs(
    tables: list[str], folder: Path, preset: str, seeds: int
) -> tuple[dict[str, Any], list[Any], bytes | None]:
    """The reports by table, the claims, and the PNG of Figure 3 if there is one.

    Raises RunError for a file that is missing or no JSON, ResultError for a report of another
    preset or number of seeds (numbers of two presets never stand on one page), for no PNG
    and for claims of an earlier version.
    """
    reports = {
        table: read_result_file(folder / f"{table}.json", Report).model_dump(exclude_unset=True)
        for table in tables
    }
    for table, report in reports.items():
        found = (report["preset"]["name"], report["seeds"])
        if found != (preset, seeds):
            raise ResultError(
                f"{folder / table}.json: is of preset {found[0]!r} with {found[1]} seed(s), "
                f"expected {preset!r} with {seeds}; write it anew with this preset"
            )
    figure = folder / "figure3.png"
    image = _bytes(figure) if figure.exists() else None
    if image is not None and not image.startswith(PNG):
        raise ResultError(f"{figure}: is no PNG; delete it and make it again")
    return reports, _claims(folder / "claims.json"), image


def _bytes(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise ResultError(
            f"{path}: cannot be read ({reason(error)}); delete it and make it again"
        ) from error


def _claims(path: Path) -> list[Any]:
    try:
        claims: list[Any] = read_result_file(path, Claims).model_dump(exclude_unset=True)
    except ResultError as error:
        raise ResultError(f"{error}; or an earlier version wrote it") from error
    return claims


def read_histories(reports: Mapping[str, Any], root: Path = Path(".")) -> dict[str, list[Any]]:
    """Run key -> the rows of its history, for every run that a report names; may be empty."""
    keys = {
        run["run"]
        for report in reports.values()
        for cell in cells_of(report)
        for run in cell["runs"]
    }
    return {key: read_history(root / paths.history(key)) for key in sorted(keys)}


def render_page(
    reports: Mapping[str, dict[str, Any]],
    claims: list[dict[str, Any]],
    histories: Mapping[str, list[dict[str, Any]]],
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
    environment.filters["svg"] = Markup  # only ever given what page_plots made
    tables = [_table(report, histories) for report in reports.values()]
    statuses = Counter(cell["status"] for table in tables for cell in table["cells"])
    codes = (Code.model_validate(code) for report in reports.values() for code in report["code"])
    commits = set(map(commit_text, codes))
    first = next(iter(reports.values()))
    page = environment.get_template("overview.html.j2").render(
        preset=first["preset"],
        seeds=first["seeds"],
        commits=sorted(commit.replace("`", "") for commit in commits),
        statuses=STATUSES,
        counts=statuses,
        total=sum(statuses.values()),
        tables=tables,
        scatters=_scatters(reports),
        claims=[_claim(claim) for claim in claims],
        claim_counts={
            side: Counter(claim[side]["status"] for claim in claims) for side in ("paper", "ours")
        },
        figure=None if figure is None else base64.b64encode(figure).decode(),
    )
    return page.rstrip() + "\n"


# ----------------------------------------------------------------------------------------- cells


def anchor_of(cell: Mapping[str, Any]) -> str:
    """The page's id of a cell: letters, digits, dots, dashes."""
    return "cell-" + re.sub(r"[^A-Za-z0-9.]+", "-", cell["cell"])


def status_of(cell: Mapping[str, Any]) -> str:
    """One of STATUSES. Raises ResultError for a verdict that this page does not know."""
    if cell["source"] in ("pending", "failed"):
        return str(cell["source"])
    verdict = cell.get("verdict")
    status = "not judged" if verdict is None else verdict["status"]
    if status not in STATUSES:
        raise ResultError(
            f"{cell['cell']}: unknown verdict {status!r}; expected one of {', '.join(STATUSES)}"
        )
    return str(status)


def _cell(cell: dict[str, Any], decimals: int) -> dict[str, Any]:
    """The cell as text: published to the source's places, ours always to two."""
    status, ours, verdict = status_of(cell), cell["ours"], cell.get("verdict") or {}
    published = "" if cell["published"] is None else f"{cell['published']:.{decimals}f}"
    number = cell["source"] if ours is None else number_text(cell)
    if ours is not None and cell["spread"] is not None:
        number += f" ± {cell['spread']:.2f}"
    difference = "" if cell["difference"] is None else f"{cell['difference']:+.2f}"
    reasons = [verdict.get("remark"), (cell.get("failed") or {}).get("log")]
    if verdict.get("interval"):
        low, high = verdict["interval"]
        reasons.insert(0, f"difference between {low:+.2f} and {high:+.2f}")
    numbers = [
        f"published {published}" if published else "",
        "" if ours is None else f"ours {number}",
    ]
    facts = [status, *numbers, *reasons]
    return {
        "id": cell["cell"],
        "anchor": anchor_of(cell),
        "status": status,
        "letter": STATUSES[status][0],
        "published": published,
        "ours": number,
        "difference": difference,
        "title": f"{cell['cell']}: " + "; ".join(str(fact) for fact in facts if fact),
        "source": cell["source"],
        "profile": cell["profile"],
        "speed": cell.get("speed"),
        "log": (cell.get("failed") or {}).get("log"),
        "runs": cell["runs"],
    }


# ---------------------------------------------------------------------------------------- tables


def _table(report: dict[str, Any], histories: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    values = [
        column
        for column in report["columns"]
        if any(isinstance(row.get(column), dict) for row in report["rows"])
    ]
    rows = []
    for row in report["rows"]:
        line: list[dict[str, Any]] = []
        for column in report["columns"]:
            entry, decimals = row.get(column), decimals_of(report, column)
            bold = is_bold(report, row, column)
            if isinstance(entry, dict):
                line.append({"cell": _cell(entry, decimals), "bold": bold})
            else:
                text = (
                    f"{entry:.{decimals}f} (quoted)" if isinstance(entry, (int, float)) else entry
                )
                wide = column in values
                line.append({"parts": linked(text or ""), "wide": wide, "bold": bold})
        rows.append({"heading": row.get("heading"), "entries": line})
    return {
        "name": report["table"],
        "title": report["title"],
        "source": report["source"],
        "unit": report["unit"],
        "datasets": report["datasets"],
        "columns": [{"name": column, "wide": column in values} for column in report["columns"]],
        "rows": rows,
        "width": sum(3 if column in values else 1 for column in report["columns"]),
        "cells": [e["cell"] for row in rows for e in row["entries"] if "cell" in e],
        "notes": [note.replace("`", "") for note in notes_of(report, one_line)],
        "settings": [
            (title, [dict(entry, value=short_value(entry["value"])) for entry in settings])
            for origin, title in SECTIONS.items()
            if (settings := report["settings"].get(origin))
        ],
        "curves": _curves(report, histories),
    }


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


def _curves(
    report: dict[str, Any], histories: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any] | None:
    """Loss and validation mIoU of the table's runs; None if no cell of it is trained."""
    names: dict[str, list[str]] = {}  # run -> the cells that it serves
    anchors: dict[str, str] = {}
    for cell in cells_of(report):
        for run in cell["runs"]:
            seed = f" (seed {run['seed']})" if report["seeds"] > 1 else ""
            names.setdefault(run["run"], []).append(cell["cell"].partition("/")[2] + seed)
            anchors.setdefault(run["run"], anchor_of(cell))
    if not names:
        return None
    present = [run for run in names if histories.get(run)]
    styles = {run: style_of(number) for number, run in enumerate(present)}
    plots = []
    for key, factor, label in (
        ("loss", 1, "training loss"),
        ("val_miou", 100, "validation mIoU, %"),
    ):
        curves = [_curve(histories[run], key, factor, styles[run]) for run in present]
        drawn = [curve for curve in curves if curve.values]
        if drawn:
            plots.append((label, curves_svg(f"{report['table']}-{key}", drawn, label)))
    return {
        "plots": plots,
        "legend": [(", ".join(names[run]), run, styles[run], anchors[run]) for run in present],
        "missing": [run for run in names if run not in styles],
    }


def _curve(rows: list[dict[str, Any]], key: str, factor: int, style: Style) -> Curve:
    found = thinned([row for row in rows if isinstance(row.get(key), (int, float))])
    return Curve(
        style, [row["iteration"] for row in found], [factor * float(row[key]) for row in found]
    )


# --------------------------------------------------------------- published against ours; claims


def _scatters(reports: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One plot a metric: mIoU, IoU of single classes, and each counted quantity."""
    styles = {name: style_of(number) for number, name in enumerate(reports)}
    groups: dict[str, list[tuple[str, Point]]] = {}
    for name, report in reports.items():
        for cell in cells_of(report):
            if cell["ours"] is None or cell["published"] is None or cell.get("speed"):
                continue  # a speed of another device is no point to compare with
            text = _cell(cell, report["decimals"])
            point = Point(
                styles[name], cell["published"], cell["ours"], text["title"], text["anchor"]
            )
            groups.setdefault(_metric(cell, report["unit"]), []).append((name, point))
    return [
        {
            "metric": metric,
            "svg": scatter_svg(f"scatter-{number}", [point for _, point in found]),
            "legend": [(name, styles[name]) for name in dict.fromkeys(name for name, _ in found)],
            "count": len(found),
        }
        for number, (metric, found) in enumerate(groups.items())
    ]


def _metric(cell: dict[str, Any], unit: str) -> str:
    """What may share a plot: the same quantity in the same unit."""
    name = str(cell["metric"])
    if cell["profile"]:
        return f"{name.replace('_', ' ')} ({unit})"
    return "IoU of a class, %" if name.startswith("iou.") else "mIoU, %"


def _claim(claim: dict[str, Any]) -> dict[str, Any]:
    """The claim and, for the paper's numbers and for ours, status, margin and its interval."""

    def side(name: str) -> dict[str, Any]:
        judgement = claim[name]
        return {
            "status": judgement["status"],
            "margin": margin_text(judgement["margin"]),
            "interval": interval_text(judgement),
            "remark": judgement["remark"],
        }

    return {
        "id": claim["claim"],
        "says": claim["says"],
        "where": claim["where"],
        "reading": claim["reading"],
        "bold": claim["bold"],
        "note": claim["note"],
        "sides": [("paper", side("paper")), ("ours", side("ours"))],
    }
