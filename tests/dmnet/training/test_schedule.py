"""The learning rate of a recipe, by hand and against both zoos' recorded schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmnet.config import RecipeConfig
from dmnet.training.schedule import lr_at, poly_lr

Golden = Callable[[str], Any]
Fidelity = Callable[..., None]


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
    rounding = 1e-15  # the last places of sums around 0.01
    assert 0.01 + rounding >= now >= next_one - rounding
    assert next_one >= min_lr - rounding


SOURCE = "tests/golden/lr_schedules.pt"


def rates(**values: Any) -> torch.Tensor:
    """Of all iterations of a recipe, float64."""
    rest = {"weight_decay": 0.0, "batch_size": 1, "crop_size": (64, 64)}
    recipe = RecipeConfig.model_validate({**rest, **values})
    found = [lr_at(recipe, i) for i in range(recipe.iterations)]
    return torch.tensor(found, dtype=torch.float64)


def same(fidelity: Fidelity, zoo: str, what: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    fidelity(f"learning rates ({zoo})", what, ours, theirs, limit=1e-9, source=SOURCE)
    assert ours.tolist() == pytest.approx(theirs.tolist(), rel=1e-9)


def test_sssegmentations_schedule(golden: Golden, fidelity: Fidelity) -> None:
    s = golden("lr_schedules")["ssseg_poly"]
    ours = rates(lr=s["base_lr"], min_lr=s["min_lr"], power=s["power"], iterations=s["max_iters"])
    same(fidelity, "sssegmentation", "poly", ours, s["lr_at_iter"])


def test_mmsegmentations_schedule(golden: Golden, fidelity: Fidelity) -> None:
    s = golden("lr_schedules")["mmseg_poly"]
    ours = rates(
        lr=s["base_lr"],
        min_lr=s["eta_min"],
        power=s["power"],
        iterations=s["end"],
        reaches_min_lr=True,
    )
    same(fidelity, "mmsegmentation", "poly", ours, s["lr_at_iter"][: s["end"]])
    assert float(ours[-1]) == s["eta_min"]


def test_mmsegmentations_schedule_after_a_linear_warm_up(
    golden: Golden, fidelity: Fidelity
) -> None:
    s = golden("lr_schedules")["mmseg_linear_then_poly"]
    ours = rates(
        lr=s["base_lr"],
        min_lr=s["eta_min"],
        iterations=s["end"],
        reaches_min_lr=True,
        warmup_iterations=s["warmup_end"],
        warmup_factor=s["start_factor"],
    )
    same(fidelity, "mmsegmentation", "linear, then poly", ours, s["lr_at_iter"][: s["end"]])


@pytest.mark.parametrize("name", ["poly", "poly_with_linear_warmup"])
def test_the_schedules_of_mmsegmentation_0x(name: str, golden: Golden, fidelity: Fidelity) -> None:
    """With which the published checkpoints were trained."""
    s = golden("lr_schedules_0x")[name]
    ours = rates(
        lr=s["lr"],
        min_lr=1e-4,
        iterations=s["iterations"],
        warmup_iterations=s.get("warmup_iterations", 0),
        warmup_times_poly=True,
    )
    what, model = name.replace("_", " "), "learning rates (mmsegmentation 0.x)"
    source = "tests/golden/lr_schedules_0x.pt"
    fidelity(model, what, ours, s["lr_at_iter"], limit=1e-9, source=source)


@pytest.mark.parametrize("times_poly", [True, False])
@pytest.mark.parametrize("reaches_min_lr", [True, False])
@pytest.mark.parametrize("warmup", [0, 1, 2, 9, 10, 11])
@pytest.mark.parametrize("iterations", [1, 2, 10])
def test_every_short_run_has_rates(
    times_poly: bool, reaches_min_lr: bool, warmup: int, iterations: int
) -> None:
    found = rates(
        lr=0.1,
        min_lr=0.01,
        iterations=iterations,
        reaches_min_lr=reaches_min_lr,
        warmup_iterations=warmup,
        warmup_times_poly=times_poly,
    )
    least = 0.01 * (0.1 if times_poly else 1)  # a long warm-up multiplies even the last rates
    assert bool(((found >= least) & (found <= 0.1 + 1e-12)).all())


def test_without_options_the_rate_is_the_papers() -> None:
    papers = [poly_lr(0.02, i, 100, 0.9) for i in range(100)]
    assert rates(lr=0.02, iterations=100).tolist() == papers
