"""The cost of an experiment: counted from its configurations, with stated speeds."""

from __future__ import annotations

from pipeline.inspection.plan import render_plan
from pipeline.spec.params import Params


def test_totals_of_the_plan(build, folder, finish, tmp_path):
    experiment = build("toy", tables=("toy", "twin"))
    finish(experiment.cells[0].evaluations[0], 0.5)
    text = render_plan(experiment, Params(folder).costs(), tmp_path)
    assert "4 cells, 3 training runs, 3 evaluations, 21 iterations" in text
    done = [line for line in text.splitlines() if " yes " in line]
    assert len(done) == 1 and "toy/wide, twin/same-as-wide" in done[0]
    assert "CPU-minutes" in text


def test_planning_a_larger_number_of_seeds_costs_more(build, folder, tmp_path):
    costs = Params(folder).costs()
    assert "3 cells, 6 training runs, 6 evaluations, 42 iterations" in render_plan(
        build("toy", seeds=2), costs, tmp_path
    )
