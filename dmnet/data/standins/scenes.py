"""Drawn scenes: regions and objects whose class shows in hue, tone and form, before dull texture.

    Look             hue (of ten), tone (vivid, dark, pale), form (shape and pattern of an object)
    draw_scene       background -> regions, each below a wavy line -> objects, the smallest on top
    frequent_first   which classes the images show: the first ones often, the last ones rarely

Colour is an easy cue, form needs a wider look, and thin strokes in the classes' hues make colour
alone insufficient. All randomness comes from the given generator.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

HUES = 10
TONES = 3
FORMS = 5
BOUNDARY = 255

# tone -> ranges of saturation and brightness
_TONES = (((0.75, 1.0), (0.75, 1.0)), ((0.75, 1.0), (0.3, 0.45)), ((0.25, 0.4), (0.85, 1.0)))

Plane = npt.NDArray[np.floating]  # (height, width)
Mask = npt.NDArray[np.bool_]  # (height, width)


@dataclass(frozen=True)
class Look:
    """How a class looks; `hue` 0..9, `tone` 0..2, `form` 0..4."""

    hue: int
    form: int
    tone: int = 0

    @classmethod
    def of(cls, number: int) -> Look:
        """The look of one of 150 classes; the first 30 differ in colour, the others in form too."""
        return cls(number % HUES, number // (HUES * TONES) % FORMS, number // HUES % TONES)


@dataclass(frozen=True)
class Thing:
    """Something to draw: its label and its look."""

    label: int
    look: Look


@dataclass(frozen=True)
class Scene:
    """A photograph, uint8 (height, width, 3), and what it shows, both uint8 (height, width).

    `labels` are classes without outlines; `instances` numbers the objects from 1, 0 elsewhere.
    """

    photograph: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint8]

    def outlined(self) -> npt.NDArray[np.uint8]:
        """The labels with 255 on both sides of every object's edge, one pixel each."""
        return np.where(edges(self.instances), np.uint8(BOUNDARY), self.labels)


def edges(instances: npt.NDArray[np.uint8]) -> Mask:
    """Pixels with a left, right, upper or lower neighbour of another instance."""
    mask = np.zeros(instances.shape, dtype=bool)
    across = instances[:, 1:] != instances[:, :-1]
    down = instances[1:] != instances[:-1]
    mask[:, 1:] |= across
    mask[:, :-1] |= across
    mask[1:] |= down
    mask[:-1] |= down
    return mask


def draw_scene(
    rng: np.random.Generator,
    height: int,
    width: int,
    objects: Sequence[Thing],
    regions: Sequence[Thing] = (),
    grayscale: bool = False,
) -> Scene:
    """One scene with every object, before every region, about height x width pixels.

    The sides vary by 12 %, and three in ten images are turned by a quarter.
    """
    height, width = (round(side * rng.uniform(0.88, 1.12)) for side in (height, width))
    if rng.random() < 0.3:
        height, width = width, height
    image = draw_background(rng, height, width)
    labels = np.zeros((height, width), np.uint8)
    instances = np.zeros((height, width), np.uint8)
    # The uppermost fifth stays background.
    tops = np.linspace(0.2, 1, len(regions) + 1)[:-1]
    for region, top in zip(regions, tops, strict=True):
        mask, colours = _draw_region(rng, height, width, region.look, top)
        image[mask] = colours[mask]
        labels[mask] = region.label
    sizes = sorted(rng.uniform(0.25, 0.9, len(objects)), reverse=True)
    # Small objects come last, on top, so that none is hidden entirely.
    for instance, (thing, size) in enumerate(zip(objects, sizes, strict=True), start=1):
        mask, colours = _draw_object(rng, height, width, thing.look, size)
        image[mask] = colours[mask]
        labels[mask] = thing.label
        instances[mask] = instance
    return Scene(expose(rng, image, grayscale), labels, instances)


def draw_labelled(
    rng: np.random.Generator,
    height: int,
    width: int,
    categories: Sequence[int],
    grayscale: bool = False,
) -> Scene:
    """A scene of two regions and then objects, labelled 1 + category, which has its `Look.of`."""
    things = [Thing(category + 1, Look.of(category)) for category in categories]
    return draw_scene(rng, height, width, things[2:], things[:2], grayscale)


def draw_background(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Dull colours with coarse and fine texture, and bright strokes that are no objects."""
    base = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.25), rng.uniform(0.3, 0.7)))
    coarse = smooth_noise(rng, height, width, 5)[..., None] * 0.15
    fine = smooth_noise(rng, height, width, 24)[..., None] * 0.1
    tint = rng.normal(0, 0.04, (1, 1, 3)) * smooth_noise(rng, height, width, 3)[..., None]
    pixels = ((base + coarse + fine + tint) * 255).clip(0, 255).astype(np.uint8)
    canvas = Image.fromarray(pixels)
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(2, 6))):
        points = rng.uniform(-0.1, 1.1, (3, 2)) * (width, height)
        stroke = _colour(rng, Look(int(rng.integers(HUES)), form=0))
        red, green, blue = (round(255 * part) for part in stroke)
        pen.line(
            [(float(x), float(y)) for x, y in points],
            fill=(red, green, blue),
            width=int(rng.integers(1, 4)),
        )
    return np.asarray(canvas) / 255.0


def expose(
    rng: np.random.Generator, image: Plane, grayscale: bool = False
) -> npt.NDArray[np.uint8]:
    """The photograph, uint8 (height, width, 3), of colours 0..1: uneven light and noise."""
    height, width = image.shape[:2]
    rows = np.linspace(-1, 1, height)[:, None, None] * rng.uniform(-0.12, 0.12)
    columns = np.linspace(-1, 1, width)[None, :, None] * rng.uniform(-0.12, 0.12)
    image = image * rng.uniform(0.75, 1.15) * (1 + rows + columns)
    image = image * 255 + rng.normal(0, 9, image.shape)
    photograph = image.clip(0, 255).round().astype(np.uint8)
    if grayscale:
        gray = np.asarray(Image.fromarray(photograph).convert("L"))
        photograph = np.repeat(gray[..., None], 3, axis=2)
    return photograph


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Plane:
    """Normal noise on a grid of `cells` x `cells`, enlarged to (height, width)."""
    grid = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32))
    return np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)


def frequent_first(
    rng: np.random.Generator, classes: int, images: int, per_image: int, complete: bool
) -> list[list[int]]:
    """For each image `per_image` classes 0..`classes`-1, class k in proportion to 1 / (k + 8).

    With `complete` every class occurs, if there is room for it. Each image has its classes from
    all ranges of frequency, most frequent first, and seldom one of them twice.
    """
    places = images * per_image
    certain = np.arange(min(classes, places) if complete else 0)
    shares = 1 / (np.arange(classes) + 8.0)
    drawn = rng.choice(classes, places - len(certain), p=shares / shares.sum())
    # Each range of frequency is dealt out to all images before the next one.
    dealt = np.sort(np.concatenate([certain, drawn])).reshape(per_image, images)
    rows = [rng.permutation(row) for row in dealt]
    return np.sort(np.stack(rows, axis=1), axis=1).tolist()


def _draw_region(
    rng: np.random.Generator, height: int, width: int, look: Look, top: float
) -> tuple[Mask, Plane]:
    """All below a wavy line at about `top` (0..1) of the height, and its colours 0..1."""
    y, x = np.arange(float(height))[:, None], np.arange(float(width))[None, :]
    wave = np.sin(2 * math.pi * (x / width * rng.uniform(0.3, 1.2) + rng.random()))
    line = height * (top + rng.uniform(-0.08, 0.08) + 0.06 * wave)
    return y >= line, _fill(rng, look, y, x, rng.uniform(0, math.pi))


def _draw_object(
    rng: np.random.Generator, height: int, width: int, look: Look, size: float
) -> tuple[Mask, Plane]:
    """The object's mask (height, width) and its colours 0..1 (height, width, 3).

    `size` is the longer diameter as a part of the image's shorter side.
    """
    half = size * min(height, width) / 2
    long, short = half, half * rng.uniform(0.6, 0.95)
    # The centre stays inside, so at least a quarter of a large object is visible.
    margin = min(half, 0.35 * min(height, width))
    y = np.arange(height)[:, None] - rng.uniform(margin, height - margin)
    x = np.arange(width)[None, :] - rng.uniform(margin, width - margin)
    angle = rng.uniform(0, math.pi)
    u = x * math.cos(angle) + y * math.sin(angle)
    v = y * math.cos(angle) - x * math.sin(angle)
    return _shape(look.form, u / long, v / short), _fill(rng, look, y, x, angle)


def _shape(form: int, u: Plane, v: Plane) -> Mask:
    """Inside of a form in the square -1..1 of its axes: ellipse, box, triangle, diamond, cross."""
    across, along = np.abs(u), np.abs(v)
    if form == 0:
        return u**2 + v**2 <= 1
    if form == 1:
        return (across <= 0.85) & (along <= 0.85)
    if form == 2:
        return (v >= -0.8) & (2 * across + v <= 1)
    if form == 3:
        return across + along <= 1.1
    return (np.minimum(across, along) <= 0.4) & (np.maximum(across, along) <= 0.95)


def _fill(rng: np.random.Generator, look: Look, y: Plane, x: Plane, angle: float) -> Plane:
    """Colours 0..1 (height, width, 3) of a class: its hue, darker where its pattern is."""
    u = x * math.cos(angle) + y * math.sin(angle)
    v = y * math.cos(angle) - x * math.sin(angle)
    period = rng.uniform(5, 9)
    dark = _pattern(look.form, u / period, v / period)
    colour = _colour(rng, look)
    shade = np.where(dark, rng.uniform(0.45, 0.65), 1.0)[..., None]
    return shade * colour


def _pattern(form: int, u: Plane, v: Plane) -> Mask:
    """Stripes, chequers, thin lines across, dots, or nothing; one period is 1."""
    if form == 0:
        return np.sin(2 * math.pi * u) > 0.2
    if form == 1:
        return np.sin(math.pi * u) * np.sin(math.pi * v) > 0
    if form == 2:
        return np.sin(2 * math.pi * v) > 0.75
    if form == 3:
        return np.sin(math.pi * u) * np.sin(math.pi * v) > 0.5
    return np.zeros(np.broadcast_shapes(u.shape, v.shape), dtype=bool)


def _colour(rng: np.random.Generator, look: Look) -> Plane:
    """A colour (3,) in 0..1 near the look's hue, in its tone."""
    saturation, brightness = _TONES[look.tone]
    angle = (look.hue + rng.uniform(-0.2, 0.2)) / HUES % 1.0
    return np.array(colorsys.hsv_to_rgb(angle, rng.uniform(*saturation), rng.uniform(*brightness)))
