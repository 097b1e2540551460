"""Numbers as all reports print them."""

from __future__ import annotations

from pipeline.reports.model.claims import Bounds
from pipeline.reports.model.report import ReportedCell


def two_places(number: float | None, sign: str = "") -> str:
    """Empty without a number; sign: "+" to have it always."""
    return "" if number is None else f"{number:{sign}.2f}"


def published_text(cell: ReportedCell, decimals: int) -> str:
    """To the source's places."""
    return "" if cell.published is None else f"{cell.published:.{decimals}f}"


def number_text(cell: ReportedCell) -> str:
    """Ours: always two places, so that rounding to the source's places hides nothing; a small
    memory or speed to two digits instead. Empty without a number."""
    if cell.ours is not None and cell.speed and 0 < cell.ours < 0.1:
        return f"{cell.ours:.2g}"
    return two_places(cell.ours)


def ours_text(cell: ReportedCell) -> str:
    """Ours with its spread, or why there is none."""
    if cell.ours is None:
        return cell.source
    return number_text(cell) + ("" if cell.spread is None else f" ± {cell.spread:.2f}")


def margin_text(margin: float | None) -> str:
    """Two places as in the tables; a third where a tolerance for rounding leaves one."""
    if margin is None:
        return ""
    places = 2 if round(margin, 2) == margin else 3
    return f"{margin:+.{places}f}" if margin else f"{margin:.2f}"


def interval_text(interval: Bounds | None) -> str:
    """Such as "-0.12 to +1.30"; empty where the numbers are exact or nothing is known."""
    if interval is None:
        return ""
    low, high = interval
    if low == high:
        return "unknown" if low is None else "exact"
    return " to ".join("?" if end is None else f"{end:+.2f}" for end in interval)
