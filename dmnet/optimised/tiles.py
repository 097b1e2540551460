"""Which tiles a convolution by Winograd divides images into, and what that saves."""

from __future__ import annotations

from collections.abc import Iterable

from dmnet.optimised.matrices import TILES, Tile

LEAST_SAVING = 2.0  # products of the direct convolution for one of these, to be worth it
FILLED = 128  # the number of tiles is made a multiple of this, with zeros


def saving(n: int, height: int, width: int, dilation: int, tile: Tile) -> float:
    """Multiplications of the direct convolution of n images per multiplication of this one."""
    down, across = counts(height, width, tile, dilation)
    count = -(-n * down * across * dilation**2 // FILLED) * FILLED
    return 9 * n * height * width / (count * groups(tile))


def best_tile(
    n: int, height: int, width: int, dilation: int, among: Iterable[Tile] = TILES
) -> Tile | None:
    """For n images: the tile with the fewest products, or None where it saves too little, or
    less than to leave out the padding, which the direct convolution may do."""
    shape = (n, height, width, dilation)
    best = max(among, key=lambda tile: saving(*shape, tile))
    least = max(LEAST_SAVING, padding_saving(height, width, dilation))
    return best if saving(*shape, best) >= least else None


def counts(height: int, width: int, tile: Tile, dilation: int) -> tuple[int, int]:
    """How many tiles cover one phase, down and across."""
    return -(-height // (tile[0] * dilation)), -(-width // (tile[1] * dilation))


def padding_saving(height: int, width: int, dilation: int) -> float:
    """Products of the direct convolution with its padding per product of one without."""
    down, across = (side / (side + 2 * max(0, side - dilation)) for side in (height, width))
    return 9 * down * across


def groups(tile: Tile) -> int:
    """g, the products per tile and pair of channels."""
    return (tile[0] + 2) * (tile[1] + 2)
