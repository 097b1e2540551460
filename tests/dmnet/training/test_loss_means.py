"""Losses are added up by every process for itself and put together when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dmnet.losses import Losses
from dmnet.processes import ALONE, Processes
from dmnet.training.loss_means import LossMeans


class Recorded(Processes):
    """A process whose peers' messages are those in `others`."""

    others: list[list[float]]

    def sum(self, values: Sequence[float]) -> list[float]:
        return [sum(column) for column in zip(values, *self.others, strict=True)]


def losses(main: float, auxiliary: float) -> Losses:
    one, two = torch.tensor(main), torch.tensor(auxiliary)
    return Losses(one + two, one, two, {"stage4": two})


def test_means_are_over_the_iterations_since_the_last() -> None:
    sums = LossMeans(ALONE)
    for main in (1.0, 2.0, 6.0):
        sums.add(losses(main, 0.5))
    assert sums.take() == {"total": 3.5, "main": 3.0, "auxiliary": 0.5}
    sums.add(losses(4.0, 1.0))
    assert sums.take() == {"total": 5.0, "main": 4.0, "auxiliary": 1.0}


def test_a_batch_s_loss_is_the_sum_of_its_shares() -> None:
    second = Recorded(rank=1, count=2)
    object.__setattr__(second, "others", [[3.0, 2.0, 1.0, 0.0, 0.0, 0.0]])
    sums = LossMeans(second)
    sums.add(losses(4.0, 0.5))
    shares = [
        {"total": 3.0, "main": 2.0, "auxiliary": 1.0},
        {"total": 4.5, "main": 4.0, "auxiliary": 0.5},
    ]
    assert sums.state() == {"iterations": 1, "shares": shares}
    assert sums.take() == {"total": 7.5, "main": 6.0, "auxiliary": 1.5}


def test_every_process_goes_on_with_its_own_share() -> None:
    state = {"iterations": 2, "shares": [{"total": 1.0}, {"total": 4.0}]}
    for rank, own in enumerate((1.0, 4.0)):
        sums = LossMeans(Processes(rank, 2))
        sums.restore(state)
        assert (sums.iterations, sums.own) == (2, {"total": own})


def test_after_another_number_of_processes_nothing_is_lost_or_counted_twice() -> None:
    state = {"iterations": 2, "shares": [{"total": 1.0}, {"total": 4.0}]}
    alone = LossMeans(ALONE)
    alone.restore(state)
    assert alone.take() == {"total": 2.5}
    owns = []
    for rank in range(3):
        sums = LossMeans(Processes(rank, 3))
        sums.restore(state)
        owns.append(sums.own["total"])
    assert owns == [5.0, 0.0, 0.0]


def test_a_state_without_shares_is_of_one_process() -> None:
    sums = LossMeans(ALONE)
    sums.restore({"iterations": 2, "total": 3.0})
    assert sums.take() == {"total": 1.5}
    sums.restore({})  # right after a row
    assert (sums.iterations, sums.own) == (0, {})


def test_since_when_a_loss_is_not_finite_is_known_in_every_process() -> None:
    """Counted where it is computed: no value is asked for in between."""
    alone = LossMeans(ALONE)
    for main in (1.0, float("inf"), 2.0, -float("inf")):
        alone.add(losses(main, 0.5))
    assert alone.not_finite() == 3
    second = Recorded(rank=1, count=2)
    object.__setattr__(second, "others", [[3.0, 0.0]])
    sums = LossMeans(second)
    sums.add(losses(float("nan"), 0.5))
    assert sums.not_finite() == 3
