"""What cluster jobs ask for: from above, but not absurdly; more with every attempt."""

from __future__ import annotations

import pytest

from dmnet.flops import training_cost
from pipeline.cluster.estimates import Estimates
from pipeline.experiments import PARAMS, build_experiment
from pipeline.spec.params import Params

COSTS = Params(PARAMS).costs()


def runs(preset):
    """A run of every depth and head, and the costliest head of all."""
    experiment = build_experiment(preset, 1)
    chosen = {}
    for run in experiment.runs.values():
        model = run.job.run.model
        if "table1/regular-1-3-5-7" in run.cells:
            chosen["costliest"] = run.job.run
        backbone = (model.backbone.name, getattr(model.backbone, "depth", None))
        backbone = (*backbone, getattr(model.backbone, "output_stride", None))
        chosen.setdefault((*backbone, model.head.name), run.job.run)
    assert "costliest" in chosen
    return experiment, list(chosen.values())


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_the_bound_is_above_the_counted_arithmetic_and_within_three_times(preset):
    """Not at `mini`: there the bound is up to 4.3 times the count."""
    experiment, some = runs(preset)
    estimates = Estimates.read(COSTS, experiment.preset.gpus > 0)
    for run in some:
        flops = training_cost(run.model, run.data.classes, *run.recipe.crop_size).flops
        iteration = 3 * flops * run.recipe.batch_size / estimates.device.flops_per_second
        counted = run.recipe.iterations * (iteration + estimates.device.fixed_seconds)
        bound = estimates.training_seconds(run)
        assert counted < bound < 3 * counted, run.model


def test_every_attempt_asks_for_more_until_a_day():
    experiment, (run, *_) = runs("mini")
    estimates = Estimates.read(COSTS, on_gpu=False)
    execution = experiment.preset.execution
    assert estimates.training_minutes(run, 1) < estimates.training_minutes(run, 2)
    assert 2 * estimates.memory_mb(execution, 1) == estimates.memory_mb(execution, 2)
    assert 2 * estimates.released_minutes(1) == estimates.released_minutes(2)
    experiment, (run, *_) = runs("paper")
    estimates = Estimates.read(COSTS, on_gpu=True)
    assert estimates.training_minutes(run, 9) == COSTS.requests.minutes_at_most
