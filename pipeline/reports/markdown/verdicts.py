"""The verdicts of a report as Markdown: a word per cell, a count, and what each rests on."""

from __future__ import annotations

from collections import Counter

from pipeline.reports.markdown.tables import pipe_table
from pipeline.reports.model.report import Report, ReportedCell, Verdict
from pipeline.reports.numbers import two_places
from pipeline.reports.verdict import VERDICTS

RULE = "docs/verdicts.md"


def shows_verdicts(report: Report) -> bool:
    """At a judged preset, and at every preset where something is counted at full width."""
    return any(_is_judged(cell, report) for cell in report.cells)


def verdict_of(cell: ReportedCell, report: Report) -> str:
    """One word for the table; empty without a result, or where the preset is not judged."""
    return cell.verdict.status if cell.verdict and _is_judged(cell, report) else ""


def count_verdicts(report: Report) -> str:
    """Such as "3 reproduced, 1 inconclusive; 2 without a result"."""
    verdicts = Counter(verdict_of(c, report) for c in report.cells if _is_judged(c, report))
    counts = ", ".join(f"{verdicts[status]} {status}" for status in VERDICTS if verdicts[status])
    without = f"{verdicts['']} without a result" if verdicts[""] else ""
    return "; ".join(filter(None, [counts, without]))


def render_verdicts(report: Report) -> list[str]:
    """The section's parts; none where no cell has a verdict to show."""
    shown = [(c.cell, c.verdict) for c in report.cells if c.verdict and _is_judged(c, report)]
    if not shown:
        return []
    headers = ["Cell", "Verdict", "Δ", "Interval", "Margin", "Seeds", "Spread", "Remark"]
    align = ("left", "left", "right", "right", "right", "right", "right", "left")
    return [
        "## Verdicts",
        f"{_meaning([verdict for _, verdict in shown])}"
        f"The rule, and how often it is wrong: [{RULE}](../{RULE}).",
        pipe_table([_row(name, verdict) for name, verdict in shown], headers, align),
    ]


def _meaning(verdicts: list[Verdict]) -> str:
    """What the columns of the section say; nothing where all is counted and has no interval."""
    confidence = {verdict.confidence or 0 for verdict in verdicts if verdict.interval}
    if not confidence:
        return ""
    return (
        f"The interval has two one-sided bounds of the true difference, each at "
        f"{100 * max(confidence):g} % confidence; wholly within ± margin is `reproduced`, wholly "
        "beyond it `not reproduced`. Spread is the standard deviation of one training that was "
        "reckoned with, from a prior and the seeds. "
    )


def _is_judged(cell: ReportedCell, report: Report) -> bool:
    return report.preset.judged or cell.profile is not None


def _row(name: str, verdict: Verdict) -> list[str]:
    bounds, margin = verdict.interval, two_places(verdict.margin)
    if verdict.margin is not None and round(verdict.margin, 2) != verdict.margin:
        margin = f"{verdict.margin:g}"  # half a unit of a counted number's last place needs more
    return [
        name,
        verdict.status,
        two_places(verdict.difference, "+"),
        f"{bounds[0]:+.2f} to {bounds[1]:+.2f}" if bounds else "",
        margin,
        str(verdict.seeds or ""),
        two_places(verdict.spread),
        verdict.remark or "",
    ]
