"""Medians, and how sure they are, without assumptions on how the measurements are distributed."""

from __future__ import annotations

from math import comb

CONFIDENCE = 0.9


def median_interval(values: list[float]) -> tuple[float, float]:
    """The narrowest symmetric pair of order statistics that holds the median with `CONFIDENCE`.

    With k values left out on either side it misses the median with probability 2 P(B <= k), where
    B is binomial (n, 1/2). Fewer than 5 values are too few: then smallest and largest.
    """
    ordered, count = sorted(values), len(values)
    left_out, missed = 0, 2 / 2**count
    while (more := missed + 2 * comb(count, left_out + 1) / 2**count) <= 1 - CONFIDENCE:
        left_out, missed = left_out + 1, more
    return ordered[left_out], ordered[count - 1 - left_out]


def ratios(theirs: list[float], ours: list[float]) -> list[float]:
    """How many times as long the reference took, round by round: above 1 we are faster."""
    return [their / our for their, our in zip(theirs, ours, strict=True)]
