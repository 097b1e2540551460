"""The verdicts of a report as Markdown: a word per cell, a count, and what each rests on."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tabulate import tabulate

from pipeline.reports.build import cells_of
from pipeline.reports.verdict import STATUSES

RULE = "docs/verdicts.md"


def shows_verdicts(report: dict[str, Any]) -> bool:
    """At a judged preset, and at every preset where something is counted at full width."""
    return any(_is_judged(cell, report) for cell in cells_of(report))


def verdict_of(cell: dict[str, Any], report: dict[str, Any]) -> str:
    """One word for the table; empty without a result, or where the preset is not judged."""
    if cell["verdict"] is None or not _is_judged(cell, report):
        return ""
    return str(cell["verdict"]["status"])


def count_verdicts(report: dict[str, Any]) -> str:
    """Such as "3 reproduced, 1 inconclusive; 2 without a result"."""
    cells = [cell for cell in cells_of(report) if _is_judged(cell, report)]
    found = Counter(verdict_of(cell, report) for cell in cells)
    counts = ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status])
    return "; ".join(filter(None, [counts, f"{found['']} without a result" if found[""] else ""]))


def render_verdicts(report: dict[str, Any]) -> list[str]:
    """The section's parts; none where no cell has a verdict to show."""
    rows = [
        _row(cell["cell"], cell["verdict"]) for cell in cells_of(report) if verdict_of(cell, report)
    ]
    if not rows:
        return []
    headers = ["Cell", "Verdict", "Δ", "Interval", "Margin", "Seeds", "Spread", "Remark"]
    align = ("left", "left", "right", "right", "right", "right", "right", "left")
    return [
        "## Verdicts",
        f"{_meaning(report)}The rule, and how often it is wrong: [{RULE}](../{RULE}).",
        tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True),
    ]


def _meaning(report: dict[str, Any]) -> str:
    """What the columns of the section say; nothing where all is counted and has no interval."""
    verdicts = [cell["verdict"] for cell in cells_of(report) if verdict_of(cell, report)]
    confidence = {verdict["confidence"] for verdict in verdicts if verdict["interval"]}
    if not confidence:
        return ""
    return (
        f"The interval has two one-sided bounds of the true difference, each at "
        f"{100 * max(confidence):g} % confidence; wholly within ± margin is `reproduced`, wholly "
        "beyond it `not reproduced`. Spread is the standard deviation of one training that was "
        "reckoned with, from a prior and the seeds. "
    )


def _is_judged(cell: dict[str, Any], report: dict[str, Any]) -> bool:
    return bool(report["preset"]["judged"] or cell["profile"])


def _row(name: str, verdict: dict[str, Any]) -> list[str]:
    bounds = verdict["interval"]
    return [
        name,
        verdict["status"],
        _number(verdict["difference"], "+"),
        f"{bounds[0]:+.2f} to {bounds[1]:+.2f}" if bounds else "",
        _margin(verdict["margin"]),
        str(verdict["seeds"] or ""),
        _number(verdict["spread"]),
        verdict["remark"] or "",
    ]


def _margin(value: float | None) -> str:
    """Two places; more where half a unit of a counted number's last place needs them."""
    return _number(value) if value is None or round(value, 2) == value else f"{value:g}"


def _number(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.2f}"
