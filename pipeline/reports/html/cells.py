"""A cell of a report as the page shows it: in the map, in its table, in a plot."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import ResultError
from pipeline.reports.model.report import ReportedCell
from pipeline.reports.numbers import ours_text, published_text, two_places

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


@dataclass(frozen=True)
class ShownCell:
    """The cell, and its numbers as text: published to the source's places, ours always to two."""

    reported: ReportedCell
    anchor: str
    status: str
    letter: str
    published: str
    ours: str
    difference: str
    title: str


def shown(cell: ReportedCell, decimals: int) -> ShownCell:
    """Raises ResultError for a verdict that this page does not know."""
    status, published, ours = status_of(cell), published_text(cell, decimals), ours_text(cell)
    interval = cell.verdict.interval if cell.verdict else None
    facts = [
        status,
        f"published {published}" if published else None,
        None if cell.ours is None else f"ours {ours}",
        f"difference between {interval[0]:+.2f} and {interval[1]:+.2f}" if interval else None,
        cell.verdict.remark if cell.verdict else None,
        cell.failed.log if cell.failed else None,
    ]
    return ShownCell(
        reported=cell,
        anchor=anchor_of(cell),
        status=status,
        letter=STATUSES[status][0],
        published=published,
        ours=ours,
        difference=two_places(cell.difference, "+"),
        title=f"{cell.cell}: " + "; ".join(filter(None, facts)),
    )


def anchor_of(cell: ReportedCell) -> str:
    """The page's id of a cell: letters, digits, dots, dashes."""
    return "cell-" + re.sub(r"[^A-Za-z0-9.]+", "-", cell.cell)


def status_of(cell: ReportedCell) -> str:
    """One of STATUSES. Raises ResultError for a verdict that this page does not know."""
    if cell.source in ("pending", "failed"):
        return cell.source
    status = "not judged" if cell.verdict is None else cell.verdict.status
    if status not in STATUSES:
        raise ResultError(
            f"{cell.cell}: unknown verdict {status!r}; expected one of {', '.join(STATUSES)}"
        )
    return status
