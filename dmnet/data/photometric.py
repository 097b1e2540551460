"""Random brightness, contrast, saturation and hue of one photograph, as both zoos have it.

    brightness + U(-32, 32)    each of the four with probability 1/2, after each of them clipped
    contrast   x U(0.5, 1.5)   to 0..255 and cut to whole numbers; contrast comes second or last,
    saturation x U(0.5, 1.5)   with equal probability
    hue        + {-18 .. 17}   in steps of 2 degrees

Saturation and hue are changed in OpenCV's 8-bit HSV, each with a conversion there and back.
sssegmentation takes its photographs, whose channels are blue, green, red, for red, green, blue
there: its hues turn the other way.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

BRIGHTNESS = 32.0  # gray levels
CONTRAST = SATURATION = (0.5, 1.5)
LEVELS = np.arange(256)
HUE = 18  # OpenCV's 8-bit hue counts 180 steps to the circle

ChannelOrder = Literal["rgb", "bgr"]


def distort(image: Tensor, rng: np.random.Generator, taken_for: ChannelOrder = "rgb") -> Tensor:
    """(3, h, w) uint8 RGB -> the same, distorted. `taken_for`: the order that HSV assumes."""
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    if _coin(rng):
        pixels = cv2.LUT(pixels, _line(offset=float(rng.uniform(-BRIGHTNESS, BRIGHTNESS))))
    contrast_first = _coin(rng)
    if contrast_first:
        pixels = _contrast(pixels, rng)
    if _coin(rng):
        saturation = _line(factor=float(rng.uniform(*SATURATION)))
        pixels = _in_hsv(pixels, [LEVELS, saturation, LEVELS], taken_for)
    if _coin(rng):
        hue = (LEVELS + int(rng.integers(-HUE, HUE))) % 180
        pixels = _in_hsv(pixels, [hue, LEVELS, LEVELS], taken_for)
    if not contrast_first:
        pixels = _contrast(pixels, rng)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))


def _contrast(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if not _coin(rng):
        return pixels
    return cv2.LUT(pixels, _line(factor=float(rng.uniform(*CONTRAST))))


def _line(factor: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """(256,) uint8: level x factor + offset in float32, clipped; the fraction is cut off."""
    values = LEVELS.astype(np.float32) * np.float32(factor) + np.float32(offset)
    return np.clip(values, 0, 255).astype(np.uint8)


def _in_hsv(pixels: np.ndarray, tables: list[np.ndarray], order: ChannelOrder) -> np.ndarray:
    """Each of hue, saturation and value looked up in its table (256,)."""
    there, back = (
        (cv2.COLOR_RGB2HSV, cv2.COLOR_HSV2RGB)
        if order == "rgb"
        else (cv2.COLOR_BGR2HSV, cv2.COLOR_HSV2BGR)
    )
    lookup = np.stack(tables, axis=-1).astype(np.uint8)[:, None]
    return cv2.cvtColor(cv2.LUT(cv2.cvtColor(pixels, there), lookup), back)
