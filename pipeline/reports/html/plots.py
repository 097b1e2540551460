"""Plots of the overview page as SVG to stand inside HTML: equal data give equal bytes.

Text and axes take the colour of the text around them, so they are legible on light and on dark.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

ItemT = TypeVar("ItemT")

INK = "#010203"  # stands for the page's own text colour, and is replaced by it
COLOURS = (
    *("#2b7bba", "#e08214", "#3a9d4f", "#d1495b", "#8a63c0"),
    *("#9c6b4e", "#d674b8", "#7f8791", "#a8a21f", "#1fa3b5"),
)
DASHES = ("", "6 2", "2 2")  # of an SVG stroke, in points
MOST_POINTS = 200  # of a curve: more than the plot has pixels to show


@dataclass(frozen=True)
class Style:
    """How a line or a point looks, for the plot and for its legend."""

    colour: str
    dash: str


@dataclass(frozen=True)
class Curve:
    """Iterations and values (any unit)."""

    style: Style
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Point:
    """A cell's two numbers, in the same unit; `anchor` is where the page has the cell."""

    style: Style
    published: float
    ours: float
    title: str
    anchor: str


def style_of(number: int) -> Style:
    """The style of the number-th line of a plot: colours first, then dashes."""
    return Style(COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)])


def thinned(rows: Sequence[ItemT], most: int = MOST_POINTS) -> list[ItemT]:
    """Every n-th element, so that at most `most` and the last one are left."""
    step = max(1, -(-len(rows) // most))
    kept = list(rows[::step])
    return kept if not rows or kept[-1] is rows[-1] else [*kept, rows[-1]]


def curves_svg(name: str, curves: Sequence[Curve], label: str) -> str:
    """`name` must be unique on the page: SVG's inner references are global there."""
    figure, axes = _axes((4.4, 2.9))
    for curve in curves:
        dash = [float(length) for length in curve.style.dash.split()]
        axes.plot(
            *zip(*curve.points, strict=True),
            color=curve.style.colour,
            linewidth=1.3,
            linestyle=(0, [length / 1.3 for length in dash]) if dash else "-",
            marker="o" if len(curve.points) < 3 else None,
            markersize=3,
        )
    axes.set_xlabel("iteration", color=INK)
    axes.set_ylabel(label, color=INK)
    return _svg(name, figure)


def scatter_svg(name: str, points: Sequence[Point]) -> str:
    """Ours over published, on equal axes, with the line on which both are the same."""
    figure, axes = _axes((4.4, 4.2))
    numbers = [number for point in points for number in (point.published, point.ours)]
    low, high = min(numbers), max(numbers)
    pad = 0.06 * (high - low) or 1.0
    limits = (low - pad, high + pad)
    axes.plot(limits, limits, color=INK, alpha=0.5, linewidth=0.8, linestyle="--")
    titles = {}
    for number, point in enumerate(points):
        group = f"point-{number}"
        titles[group] = point.title
        axes.plot(
            [point.published],
            [point.ours],
            linestyle="",
            marker="o",
            markersize=5.5,
            markerfacecolor=point.style.colour,
            markeredgecolor=INK,
            markeredgewidth=0.3,
            gid=group,
            url=f"#{point.anchor}",
        )
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    axes.set_xlabel("published", color=INK)
    axes.set_ylabel("ours", color=INK)
    return _svg(name, figure, titles)


def _axes(inches: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.add_subplot()
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_edgecolor(INK)
    axes.tick_params(color=INK, labelcolor=INK)
    axes.grid(color=INK, alpha=0.15, linewidth=0.6)
    return figure, axes


def _svg(name: str, figure: Any, titles: dict[str, str] | None = None) -> str:
    """Without what only a file of its own needs: prologue, metadata, style sheet, size, names."""
    import matplotlib

    stream = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    # `hashsalt` makes the names of clip paths and markers repeatable, and the page's own.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', text)

    def group(match: re.Match[str]) -> str:
        title = (titles or {}).get(match[1])
        return "<g>" if title is None else f"<g><title>{html.escape(title)}</title>"

    text = re.sub(r'<g id="([^"]*)">', group, text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r"\n\s*", "\n", text)
    return text.replace(INK, "currentColor").strip()
