"""The ratio's interval holds the median as often as it says, whatever the distribution."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics import CONFIDENCE, median_interval, ratios


@pytest.mark.parametrize("count", [5, 8, 15, 40])
def test_the_interval_holds_the_median_at_least_as_often_as_promised(count: int) -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        low, high = median_interval(list(rng.lognormal(size=count)))  # its median is 1
        held += low <= 1 <= high
    assert held / 2000 >= CONFIDENCE - 0.02


def test_with_few_values_it_is_their_range() -> None:
    assert median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert median_interval([5.0, 3.0, 1.0, 2.0, 4.0]) == (1.0, 5.0)


def test_with_more_values_single_slow_rounds_are_left_out() -> None:
    assert median_interval([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 90.0]) == (1.1, 1.6)


def test_above_one_we_are_faster() -> None:
    assert ratios(theirs=[2.0, 3.0], ours=[1.0, 4.0]) == [2.0, 0.75]
