"""The speeds of `params/costs.yaml`."""

from __future__ import annotations

import pytest

from dmnet.errors import DMNetError
from pipeline.spec.params import Params


def test_the_time_of_a_training(build, folder):
    """7 iterations x (0.5 s + 3 x 2 MFLOP x 4 images / 1 GFLOP/s) + 10 s."""
    run = next(iter(build("toy").runs.values()))
    costs = Params(folder).costs()
    seconds = costs.training_seconds(costs.cpu, run.job.run.recipe, 2_000_000)
    assert seconds == pytest.approx(7 * (0.5 + 0.024) + 10)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("title: one core, ", "", "cpu.title"),
        ("per_job_seconds: 10", "", "per_job_seconds"),
        ("flops_per_second: 1.0e9", "flops_per_second: fast", "cpu.flops_per_second"),
        ("cards: {}", "cards: {x: {}}", "cards.x.title"),
        ("margin: 3", "marign: 2", "requests.marign"),
    ],
)
def test_what_is_missing_or_wrong_is_named(edit, folder, old, new, named):
    edit("costs.yaml", old, new)
    with pytest.raises(DMNetError, match=rf"costs.yaml.*{named}"):
        Params(folder).costs()
