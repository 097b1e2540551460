"""Winograd's matrices: products of a filter and an input, exactly."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from dmnet.optimised.matrices import POINTS, matrices


@pytest.mark.parametrize("m", POINTS)
def test_the_matrices_are_exact(m: int) -> None:
    """For every pair of an input and a tap alone; the rest follows, as both sides are linear."""
    output, filters, inputs = matrices(m)
    for i, tap in itertools.product(range(m + 2), range(3)):
        products = [inputs[j][i] * filters[j][tap] for j in range(m + 2)]
        y = [sum(a * b for a, b in zip(row, products, strict=True)) for row in output]
        assert y == [Fraction(int(k + tap == i)) for k in range(m)]
