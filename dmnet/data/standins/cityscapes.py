"""A procedural stand-in for Cityscapes, as its two archives in the real format.

Each image is a street seen from a car: sky, a row of buildings and trees, the road between two
sidewalks, the car's own bonnet, and twenty objects, smaller and higher in the image the farther
away they are. A label id has its colour (close to what it is in real streets), size and place. As
in the real archives there are label ids that no evaluation counts, instance ids of 16 bits,
colour images, polygons, and a test split with dummy labels.
"""

from __future__ import annotations

import colorsys
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.data.cityscapes import IMAGE, IMAGE_ARCHIVE, LABEL, LABEL_ARCHIVE, SPLITS
from dmnet.data.standins.packing import png, zip_archive
from dmnet.data.standins.scenes import Mask, Plane, expose, smooth_noise
from dmnet.data.standins.settings import generate_settings

CLASSES = 19
OUT_OF_ROI, EGO_VEHICLE, RECTIFICATION = 3, 1, 2

_CITIES = {
    "train": ("aachen", "bochum", "ulm"),
    "val": ("frankfurt", "munster"),
    "test": ("berlin",),
}
_TEST_IMAGES = 2
_OBJECTS = 20


@dataclass(frozen=True)
class _Kind:
    """A label id: hue, saturation and brightness 0..1, and how large it is beside a car.

    `height` and `width` are parts of the image's height for an object as near as the bonnet;
    `share` says how often it is drawn, `round` whether it is an ellipse, and `raised` how far above
    the ground it hangs.
    """

    hue: float
    saturation: float
    brightness: float
    height: float = 0
    width: float = 0
    share: float = 0
    round: bool = False
    raised: float = 0


# fmt: off
KINDS: dict[int, _Kind] = {
    0: _Kind(0.00, 0.0, 0.10),                                     # unlabelled
    EGO_VEHICLE: _Kind(0.60, 0.1, 0.15),
    RECTIFICATION: _Kind(0.00, 0.0, 0.02),
    OUT_OF_ROI: _Kind(0.00, 0.0, 0.00),
    4: _Kind(0.10, 0.3, 0.25, 0.20, 0.15, 1),                      # static
    5: _Kind(0.90, 0.4, 0.40, 0.15, 0.15, 0.5),                    # dynamic
    6: _Kind(0.10, 0.2, 0.50, 0.10, 0.60, 0.5),                    # ground
    7: _Kind(0.78, 0.1, 0.38),                                     # road
    8: _Kind(0.92, 0.3, 0.60),                                     # sidewalk
    9: _Kind(0.97, 0.3, 0.75, 0.08, 0.60, 0.5),                    # parking
    10: _Kind(0.06, 0.3, 0.70, 0.06, 0.70, 0.3),                   # rail track
    11: _Kind(0.08, 0.4, 0.50),                                    # building
    12: _Kind(0.65, 0.4, 0.45, 0.35, 0.60, 1),                     # wall
    13: _Kind(0.05, 0.7, 0.65, 0.25, 0.60, 1),                     # fence
    14: _Kind(0.85, 0.1, 0.80, 0.15, 0.70, 0.3),                   # guard rail
    15: _Kind(0.00, 0.6, 0.40, 0.15, 0.90, 0.3, raised=0.7),       # bridge
    16: _Kind(0.05, 0.9, 0.20, 0.60, 0.60, 0.3),                   # tunnel
    17: _Kind(0.15, 0.1, 0.85, 1.20, 0.06, 3),                     # pole
    18: _Kind(0.15, 0.2, 0.70, 1.00, 0.15, 0.3),                   # polegroup
    19: _Kind(0.11, 0.9, 0.95, 0.25, 0.12, 2, raised=0.7),         # traffic light
    20: _Kind(0.16, 1.0, 0.90, 0.22, 0.22, 2, True, raised=0.8),   # traffic sign
    21: _Kind(0.27, 0.7, 0.40, 0.90, 0.70, 2, True, raised=0.1),   # vegetation
    22: _Kind(0.33, 0.6, 0.75, 0.15, 0.80, 2),                     # terrain
    23: _Kind(0.58, 0.4, 0.95),                                    # sky
    24: _Kind(0.96, 0.9, 0.85, 0.55, 0.20, 3, True),               # person
    25: _Kind(0.00, 1.0, 1.00, 0.45, 0.22, 2, True, raised=0.15),  # rider
    26: _Kind(0.66, 1.0, 0.60, 0.40, 0.75, 4),                     # car
    27: _Kind(0.72, 0.8, 0.75, 0.75, 0.80, 1.5),                   # truck
    28: _Kind(0.53, 0.9, 0.60, 0.80, 1.00, 1.5),                   # bus
    29: _Kind(0.68, 0.5, 0.85, 0.55, 0.70, 0.3),                   # caravan
    30: _Kind(0.70, 0.9, 0.35, 0.45, 0.60, 0.3),                   # trailer
    31: _Kind(0.48, 1.0, 0.65, 0.80, 1.40, 1.5),                   # train
    32: _Kind(0.62, 0.7, 1.00, 0.30, 0.35, 2),                     # motorcycle
    33: _Kind(0.97, 0.8, 0.50, 0.30, 0.35, 2, True),               # bicycle
}
# fmt: on
_DRAWN = tuple(label for label, kind in KINDS.items() if kind.share)
_HAS_INSTANCES = range(24, 34)


def generate(config: DatasetConfig, archives: Path) -> None:
    """Write both archives into the folder `archives`. Raises as `generate_settings`."""
    settings = generate_settings(config, SPLITS, [CLASSES], f"Cityscapes draws {CLASSES}")
    no_polygons = {"imgHeight": settings.height, "imgWidth": settings.width, "objects": []}
    colours = np.zeros((256, 4), np.uint8)
    for label, kind in KINDS.items():
        rgb = colorsys.hsv_to_rgb(kind.hue, kind.saturation, kind.brightness)
        colours[label] = [*(round(255 * part) for part in rgb), 255]
    with (
        zip_archive(archives / IMAGE_ARCHIVE) as add_image,
        zip_archive(archives / LABEL_ARCHIVE) as add_label,
    ):
        for split, sample, street in _streets(settings):
            add_image(f"leftImg8bit/{split}/{sample}{IMAGE}", png(street.photograph()))
            labels = np.zeros_like(street.labels) if split == "test" else street.labels
            stem = f"gtFine/{split}/{sample}_gtFine"
            add_label(f"gtFine/{split}/{sample}{LABEL}", png(labels))
            add_label(f"{stem}_instanceIds.png", png(street.instances))
            add_label(f"{stem}_color.png", png(colours[labels]))
            add_label(f"{stem}_polygons.json", json.dumps(no_polygons).encode())


def draw_street(rng: np.random.Generator, height: int, width: int, objects: list[int]) -> _Canvas:
    """A street of exactly height x width pixels with an object of every label id in `objects`."""
    canvas = _Canvas(rng, height, width)
    horizon = height * rng.uniform(0.4, 0.5)
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    canvas.paint(23, np.True_)
    blocks = rng.uniform(0.1, 0.7, 6) * horizon
    skyline = np.repeat(blocks, -(-width // len(blocks)))[None, :width]
    canvas.paint(11, y >= skyline)
    canvas.paint(8, y >= horizon)
    # The road is as wide as the image at the bottom and vanishes at the horizon.
    middle = width * rng.uniform(0.4, 0.6)
    depth = (y - horizon) / (height - horizon)
    canvas.paint(7, (y >= horizon) & (np.abs(x - middle) <= depth * width * 0.55 + 2))
    # Far objects come first, near ones cover them.
    for label, near in zip(objects, np.sort(rng.uniform(0.25, 0.9, len(objects))), strict=True):
        canvas.paint(label, _outline(rng, label, near, horizon, height, width))
    bonnet = ((x - width / 2) / (width * 0.45)) ** 2 + ((y - height) / (height * 0.1)) ** 2 <= 1
    canvas.paint(EGO_VEHICLE, bonnet)
    canvas.paint(RECTIFICATION, (y == 0) | (x == 0) | (x == width - 1))
    canvas.paint(OUT_OF_ROI, y == height - 1)
    canvas.paint(0, (y == height - 2) & (x < 4))
    return canvas


class _Canvas:
    """What has been painted so far, its label ids and instance ids; later paint covers earlier."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self.rng = rng
        self.image: Plane = np.zeros((height, width, 3))
        self.labels = np.zeros((height, width), np.uint8)
        self.instances = np.zeros((height, width), np.uint16)
        self._texture = smooth_noise(rng, height, width, 24)[..., None] * 0.05
        self._count = 0

    def photograph(self) -> npt.NDArray[np.uint8]:
        """(height, width, 3), taken once."""
        return expose(self.rng, self.image)

    def paint(self, label: int, mask: Mask | np.bool_) -> None:
        mask = np.broadcast_to(mask, self.labels.shape)
        kind, spread = KINDS[label], self.rng.uniform(-1, 1, 3) * (0.015, 0.08, 0.08)
        colour = np.array([kind.hue, kind.saturation, kind.brightness]) + spread
        rgb = colorsys.hsv_to_rgb(colour[0] % 1, *colour[1:].clip(0, 1))
        self.image[mask] = (rgb + self._texture)[mask]
        self.labels[mask] = label
        number = label
        if label in _HAS_INSTANCES:
            number = label * 1000 + self._count
            self._count += 1
        self.instances[mask] = number


def _outline(
    rng: np.random.Generator, label: int, near: float, horizon: float, height: int, width: int
) -> Mask:
    """Where an object stands: its foot is lower and it is larger the nearer it is (0..1)."""
    kind = KINDS[label]
    size = height * near * rng.uniform(0.8, 1.2)
    tall, wide = max(kind.height * size, 2), max(kind.width * size, 2)
    foot = horizon + near * (height - horizon) - kind.raised * size
    y = (np.arange(height)[:, None] - (foot - tall / 2)) / (tall / 2)
    x = (np.arange(width)[None, :] - rng.uniform(0.03, 0.97) * width) / (wide / 2)
    return y**2 + x**2 <= 1 if kind.round else np.maximum(np.abs(y), np.abs(x)) <= 1


def _streets(settings: GenerateConfig) -> Iterator[tuple[str, str, _Canvas]]:
    """(split, `<city>/<id>`, street) of every image."""
    shares = np.array([KINDS[label].share for label in _DRAWN])
    shares /= shares.sum()
    for place, split in enumerate((*SPLITS, "test")):
        images = settings.images.get(split, _TEST_IMAGES)
        for number in range(images):
            rng = np.random.default_rng([settings.seed, settings.revision, place, number])
            objects = [_DRAWN[i] for i in rng.choice(len(_DRAWN), _OBJECTS, p=shares)]
            city = _CITIES[split][number * len(_CITIES[split]) // images]
            sample = f"{city}/{city}_{number // 30:06d}_{19 + number % 30:06d}"
            yield split, sample, draw_street(rng, settings.height, settings.width, objects)
