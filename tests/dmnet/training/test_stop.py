"""What a training ends with, by the votes of all its processes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dmnet.data.loading import LoaderError
from dmnet.errors import LostContactError, RunError
from dmnet.processes import ALONE
from dmnet.training.stop import FAULT, InterruptedRunError, Stop

RUN = Path("runs/0123")


def test_nothing_ends_a_training_that_nobody_stops() -> None:
    agreed = ALONE.any_of({"first_save": True} | Stop().votes)
    assert agreed["first_save"] and Stop().error(agreed, RUN, 3, 0) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_of_any_process_stops_all_and_is_named(number: signal.Signals) -> None:
    one, other = Stop(), Stop()
    one.signal = number
    agreed = ALONE.any_of(one.votes)
    for stop in (one, other):
        error = stop.error(agreed, RUN, 3, 0)
        assert isinstance(error, InterruptedRunError)
        assert str(error).startswith(f"{RUN}: stopped at iteration 3 by {number.name};")


def test_a_loader_s_fault_is_told_by_the_process_that_has_it() -> None:
    one, other = Stop(), Stop()
    one.fault = LoaderError("no batch")
    agreed = ALONE.any_of(one.votes)
    assert [name for name, vote in agreed.items() if vote] == [FAULT]
    mine, theirs = one.error(agreed, RUN, 3, 0), other.error(agreed, RUN, 3, 1)
    assert type(mine) is RunError and "saved at iteration 3: no batch;" in str(mine)
    assert isinstance(theirs, LostContactError) and "process 1: stopped" in str(theirs)
