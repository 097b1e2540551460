"""A figure as PNG, 1200 pixels wide: rows of image, ground truth and predictions, and a legend.

Equal content gives equal bytes: matplotlib's own settings and fonts, no times, no version.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.style import context

from dmnet.data.voc2012 import palette
from pipeline.reports.figures.content import Labels, Row
from pipeline.reports.model.figure import FigureReport

Pixels = npt.NDArray[np.uint8]

DPI = 150
WIDTH = 1200  # pixels, as all sizes below
MARGIN, GAP = 16, 8
HEADING, UNDER = 34, 44  # above the first row; below each panel, for two lines of numbers
LINE = 24  # of the title and of the legend
LEGEND_COLUMNS = 5
WHITE, HATCH = 255, 170


def legend_of(content: FigureReport, rows: Sequence[Row]) -> list[tuple[str, int]]:
    """(name, class index) of every class that a panel shows, in the dataset's order.

    Ignored pixels come last, if the ground truth has any.
    """
    shown: set[int] = set()
    for row in rows:
        for labels in (row.truth, *row.predictions):
            shown.update(np.unique(labels).tolist())
    ignored = content.ignore_index
    legend = [(content.classes[index], index) for index in sorted(shown - {ignored})]
    return legend + ([("ignored (no label)", ignored)] if ignored in shown else [])


def colour_labels(labels: Labels, ignore_index: int | None) -> Pixels:
    """(h, w) class indices -> (h, w, 3) in VOC's colours; ignored pixels are hatched white."""
    colours = np.array(palette(), dtype=np.uint8).reshape(256, 3)
    pixels: Pixels = colours[labels]
    if ignore_index is not None:
        diagonal = np.add.outer(np.arange(labels.shape[0]), np.arange(labels.shape[1])) % 7 < 2
        hatched = np.where(diagonal, HATCH, WHITE).astype(np.uint8)
        ignored = labels == ignore_index
        pixels[ignored] = hatched[ignored][:, None]
    return pixels


@context("default", after_reset=True)  # whatever the user's matplotlibrc says
def draw_figure(content: FigureReport, rows: Sequence[Row]) -> bytes:
    """The PNG of what `build_figure` gave."""
    columns = 2 + len(content.columns)
    side = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) // columns
    # Panels keep their photograph's ratio; a very tall one is narrower than its column instead.
    sizes = [_fit(row.truth.shape, side) for row in rows]
    title, legend = _title(content), legend_of(content, rows)
    lines = -(-len(legend) // LEGEND_COLUMNS)
    top = MARGIN + LINE * len(title) + HEADING
    height = top + sum(h + UNDER for h, _ in sizes) + LINE * lines + 2 * MARGIN
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)

    def text(x: float, y: float, words: str, **style: Any) -> None:
        """Words whose top is `y` pixels below the figure's."""
        figure.text(x / WIDTH, 1 - y / height, words, va="top", **style)

    for number, line in enumerate(title):
        style = {"weight": "bold", "size": 9.5} if number == 0 else {"size": 7.5}
        text(MARGIN, MARGIN + number * LINE + (4 if number else 0), line, **style)
    headings = ["Image", "Ground truth", *(c.title for c in content.columns)]
    for column, heading in enumerate(headings):
        x = MARGIN + column * (side + GAP) + side / 2
        text(x, top - HEADING + 8, heading, ha="center", size=8.5, weight="bold")
    y = top
    for row, size, entry in zip(rows, sizes, content.images, strict=True):
        captions = [entry.image, f"models disagree\non {_short(entry.disagreement)} %"]
        captions += [
            f"accuracy {_short(numbers.pixel_accuracy)}\nmIoU {_short(numbers.miou)}"
            for numbers in entry.columns
        ]
        panels = _panels(row, size, content.ignore_index)
        for column, (panel, words) in enumerate(zip(panels, captions, strict=True)):
            left = MARGIN + column * (side + GAP) + (side - size[1]) // 2
            _show(figure, panel, left / WIDTH, 1 - (y + size[0]) / height, height)
            x = MARGIN + column * (side + GAP) + side / 2
            text(x, y + size[0] + 3, words, ha="center", size=6.5, linespacing=1.05)
        y += size[0] + UNDER
    _add_legend(figure, legend, content.ignore_index, (y + MARGIN) / height)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()


def _fit(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """The panel's (height, width): as wide as the column, but at most a third taller than wide."""
    scale = min(side / shape[1], side * 4 / 3 / shape[0])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _panels(row: Row, size: tuple[int, int], ignore_index: int) -> list[Pixels]:
    """Every panel at its final size, so that nothing is resampled (and mixed) later."""
    height, width = size
    interpolation = cv2.INTER_AREA if row.image.shape[1] > width else cv2.INTER_NEAREST
    panels = [np.asarray(cv2.resize(row.image, (width, height), interpolation=interpolation))]
    for number, labels in enumerate((row.truth, *row.predictions)):
        small = labels.astype(np.int16)
        resized = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
        # A prediction has no ignored pixels.
        panels.append(colour_labels(np.asarray(resized), ignore_index if number == 0 else None))
    return [panel.astype(np.uint8) for panel in panels]


def _show(figure: Figure, panel: Pixels, left: float, bottom: float, height: int) -> None:
    """Pixel for pixel, in a thin frame, as ignored pixels are as white as the page."""
    size = (panel.shape[1] / WIDTH, panel.shape[0] / height)
    axes = figure.add_axes((left, bottom, *size))
    axes.imshow(panel, aspect="auto", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)


def _add_legend(
    figure: Figure, legend: list[tuple[str, int]], ignore_index: int, below: float
) -> None:
    colours = np.array(palette()).reshape(256, 3) / 255
    patches = [
        Patch(facecolor="white", edgecolor="grey", hatch="//////", linewidth=0.5, label=name)
        if index == ignore_index
        else Patch(facecolor=colours[index], edgecolor="black", linewidth=0.5, label=name)
        for name, index in legend
    ]
    # Matplotlib fills columns first; the legend is read in lines.
    order = [i for c in range(LEGEND_COLUMNS) for i in range(c, len(patches), LEGEND_COLUMNS)]
    figure.legend(
        handles=[patches[i] for i in order],
        loc="upper left",
        bbox_to_anchor=(MARGIN / WIDTH, 1 - below, 1 - 2 * MARGIN / WIDTH, 0),
        mode="expand",
        ncols=min(LEGEND_COLUMNS, len(patches)),
        fontsize=7,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.6,
    )


def _title(content: FigureReport) -> list[str]:
    """The figure's title, then what was measured on what, so that nobody mistakes it."""
    preset, data = content.preset, content.dataset
    place = f" in place of {data.published}: not the paper's images" if data.stand_in else ""
    count = f"{len(content.images)} of {data.images}"
    lines = [
        f"Preset {preset.name}: {preset.title}. Seed 0.",
        f"Data: {data.title} (split {data.split}){place}.",
        f"The {count} images on which the models disagree most. Below each: pixel accuracy and "
        "mIoU of this one image, in %.",
    ]
    return [content.title, *(part for line in lines for part in textwrap.wrap(line, 128))]


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.1f}"
