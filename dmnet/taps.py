"""A dilated 3x3 convolution tap by tap, each tap where it reaches pixels of the image at all.

With a dilation near the image's size most of the nine taps read padding nearly everywhere, and
from that size on all but the middle one read nothing else. DeepLabV3's dilations of 24 and 36 do
on maps of 32 x 32 (a crop of 256 x 256 at output stride 8): 25 % and 11 % of the products remain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Tap(NamedTuple):
    """y[output] takes x[input] times the weights at [row, column]; slices of (height, width)."""

    row: int
    column: int
    output: tuple[slice, slice]
    input: tuple[slice, slice]

    @property
    def pixels(self) -> int:
        down, across = self.output
        return int((down.stop - down.start) * (across.stop - across.start))


def taps(height: int, width: int, dilation: int) -> Iterator[Tap]:
    """Those that reach a pixel; padding is the dilation, stride 1. The middle one comes first."""
    for row in (1, 0, 2):
        down = overlap(height, (row - 1) * dilation)
        for column in (1, 0, 2):
            across = overlap(width, (column - 1) * dilation)
            if down is not None and across is not None:
                yield Tap(row, column, (down[0], across[0]), (down[1], across[1]))


def overlap(size: int, shift: int) -> tuple[slice, slice] | None:
    """Where output i and input i + shift are both inside, as slices of either; None: nowhere."""
    first, last = max(0, -shift), min(size, size - shift)
    return None if first >= last else (slice(first, last), slice(first + shift, last + shift))


def saving(height: int, width: int, dilation: int) -> float:
    """Products of the convolution with its padding per product of one without."""
    return 9 * height * width / sum(tap.pixels for tap in taps(height, width, dilation))
