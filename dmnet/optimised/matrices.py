"""Winograd's F(m, 3): m outputs of a filter with three taps from m + 2 multiplications.

    y = A^T [(G g) * (B^T d)]    d: m + 2 inputs, g: three taps, y: m outputs
    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016

The matrices follow from m + 1 points (Toom and Cook) and infinity. Which points decides how much
rounding grows: with reciprocal pairs near one, such as 2/3 and 3/2, the root mean square error of
F(4, 3) in two dimensions is 2.3 times smaller than with 1 and 2 (5 times that of a direct
convolution of 512 channels instead of 12).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import NamedTuple

POINTS: dict[int, tuple[Fraction, ...]] = {
    m: tuple(map(Fraction, points.split()))
    for m, points in {2: "0 1 -1", 3: "0 2/3 -2/3 3/2", 4: "0 2/3 -2/3 3/2 -3/2"}.items()
}
Tile = tuple[int, int]
TILES: tuple[Tile, ...] = tuple((down, across) for down in POINTS for across in POINTS)
Matrix = tuple[tuple[Fraction, ...], ...]


class Matrices(NamedTuple):
    output: Matrix  # A^T, (m, m + 2)
    filter: Matrix  # G, (m + 2, 3)
    input: Matrix  # B^T, (m + 2, m + 2)


@cache
def matrices(m: int) -> Matrices:
    points = POINTS[m]
    zero, one = Fraction(0), Fraction(1)
    output = [[*(p**i for p in points), one if i == m - 1 else zero] for i in range(m)]
    filters, inputs = [], []
    for p in points:
        others = [q for q in points if q != p]
        differences = one
        for q in others:
            differences *= p - q
        filters.append([p**k / differences for k in range(3)])
        inputs.append([*polynomial(others), zero])
    filters.append([zero, zero, one])
    inputs.append(polynomial(points))
    return Matrices(*(tuple(map(tuple, rows)) for rows in (output, filters, inputs)))


def polynomial(roots: list[Fraction] | tuple[Fraction, ...]) -> list[Fraction]:
    """Coefficients of the product of all x - root, the constant one first."""
    result = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *result]
        result = [a - root * b for a, b in zip(shifted, [*result, Fraction(0)], strict=True)]
    return result
