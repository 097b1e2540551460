"""The synthetic study is what it says: so many cells, so many runs, nothing out of the ordinary."""

from __future__ import annotations

import pytest

from bench.peer import BenchError
from bench.study import HEADS, heads, tables, write_study
from pipeline.experiments import build_experiment
from pipeline.reports.claims.file import load_claims
from pipeline.spec.params import Params


@pytest.mark.parametrize(("cells", "runs"), [(100, 40), (1230, 492)])
def test_cells_share_runs_and_every_cell_is_an_evaluation_of_its_own(tmp_path, cells, runs):
    write_study(tmp_path, cells)
    experiment = build_experiment("mini", params=Params(tmp_path / "params"))
    assert len(experiment.cells) == len(experiment.evaluations) == cells
    assert len(experiment.runs) == runs
    models = {run.job.run.model.model_dump_json() for run in experiment.runs.values()}
    assert len(models) == min(runs, HEADS)
    # A workflow reads the claims first, and the paper's are about its own tables.
    assert load_claims(tmp_path / "params", experiment.tables) == ()


def test_there_are_as_many_different_heads_as_promised():
    assert len({str(head) for head in heads()}) == HEADS


def test_more_cells_than_the_runs_have_protocols_for_are_refused():
    with pytest.raises(BenchError, match="40 cells on 10 runs"):
        tables(40, 10)
