"""Two bilinear resizings in one: from the head's resolution through a view's size to the picture's.

Bilinear interpolation is a product with one matrix along each side, and two in a row are a product
with the product of their matrices. So a view's scores at its own size, which are up to three times
the picture's and only read once more, are never made; what is left are two small matrix products.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.devices import upload


def resized_through(
    scores: Tensor,
    between: tuple[int, int],
    size: tuple[int, int],
    align_corners: bool,
    mirrored: bool = False,
) -> Tensor:
    """Scores (n, classes, h, w) -> (n, classes, *size), by way of the size `between`.

    mirrored: the map of the size `between` is mirrored before the second resizing.
    """
    (height, width), device = scores.shape[-2:], scores.device
    rows = upload(resizing(height, between[0], size[0], align_corners), device)
    columns = upload(resizing(width, between[1], size[1], align_corners, mirrored), device)
    return rows @ (scores @ columns.T)


@lru_cache(maxsize=64)
def resizing(
    size: int, between: int, target: int, align_corners: bool, mirrored: bool = False
) -> Tensor:
    """(target, size) float32: what one side's resizing to `between`, then to `target`, does."""
    # In float32: its weights are rounded as those of the maps that it stands for.
    every_unit_vector = torch.eye(size)[None]
    first = _interpolated(every_unit_vector, between, align_corners)
    second = _interpolated(first.flip(-1) if mirrored else first, target, align_corners)
    return second[0].T.contiguous()


def _interpolated(lines: Tensor, size: int, align_corners: bool) -> Tensor:
    return F.interpolate(lines, size=size, mode="linear", align_corners=align_corners)
