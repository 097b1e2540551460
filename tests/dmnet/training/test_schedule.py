"""The polynomial schedule, by hand and against both zoos' recorded learning rates.

With a minimum, both zoos interpolate, (lr - min) * factor + min, where ours cuts off at the
minimum; so the recorded schedules are compared through ours without a minimum. mmsegmentation's
last iteration has factor 0, that is, it counts one iteration less. Its linear warm-up
(`mmseg_linear_then_poly`) has no counterpart here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmnet.training.schedule import poly_lr


def test_by_hand() -> None:
    assert poly_lr(0.02, 0, 100, 0.9) == 0.02
    assert poly_lr(0.02, 50, 100, 0.9) == pytest.approx(0.02 * 0.5**0.9)
    assert poly_lr(0.02, 75, 100, 1.0) == pytest.approx(0.005)
    assert poly_lr(0.02, 99, 100, 0.9) == pytest.approx(0.02 * 0.01**0.9)
    assert poly_lr(0.02, 100, 100, 0.9) == 0.0


def test_from_the_start_to_just_above_the_minimum() -> None:
    assert 0.001 < poly_lr(0.02, 99, 100, 0.9, min_lr=0.001) < 0.0014
    assert poly_lr(0.02, 0, 100, 0.9, min_lr=0.001) == pytest.approx(0.02)


@given(
    iterations=st.integers(2, 10**6),
    share=st.floats(0, 1),
    power=st.floats(0.1, 3),
    min_lr=st.floats(0, 0.01),
)
def test_it_only_falls_and_stays_within_its_bounds(
    iterations: int, share: float, power: float, min_lr: float
) -> None:
    i = int(share * (iterations - 2))
    now, next_one = (poly_lr(0.01, j, iterations, power, min_lr) for j in (i, i + 1))
    assert 0.01 >= now >= next_one >= min_lr


def test_sssegmentations_schedule(golden: Callable[[str], Any]) -> None:
    s = golden("lr_schedules")["ssseg_poly"]
    ours = [
        poly_lr(s["base_lr"] - s["min_lr"], i, s["max_iters"], s["power"]) + s["min_lr"]
        for i in range(s["max_iters"])
    ]
    assert ours == pytest.approx(s["lr_at_iter"].tolist(), rel=1e-12)


def test_mmsegmentations_schedule(golden: Callable[[str], Any]) -> None:
    s = golden("lr_schedules")["mmseg_poly"]
    steps = s["end"] - s["begin"] - 1
    ours = [
        poly_lr(s["base_lr"] - s["eta_min"], i, steps, s["power"]) + s["eta_min"]
        for i in range(steps + 1)
    ]
    # mmengine multiplies up its rate step by step, so it collects rounding.
    assert ours == pytest.approx(s["lr_at_iter"].tolist()[: steps + 1], rel=1e-9)
