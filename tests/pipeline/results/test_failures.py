"""A cell whose job failed says which, until the job's output is there."""

from __future__ import annotations

import json

import pytest

from pipeline import paths
from pipeline.inspection.show.lineage import render_show
from pipeline.inspection.status import render_status
from pipeline.reports.build import build_report
from pipeline.reports.markdown.table import render_markdown
from pipeline.results.failures import failure_of


@pytest.fixture
def experiment(build):
    return build("toy")


@pytest.fixture
def fail(tmp_path):
    def fail(log: str, error: str = "the disk is full") -> str:
        mark = (tmp_path / log).with_suffix(".failed.json")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps({"log": log, "exit": 1, "error": error}))
        return log

    return fail


def test_without_a_mark_a_cell_is_pending(experiment, tmp_path):
    assert failure_of(experiment.cells[0], experiment, tmp_path) is None


def test_the_first_failed_job_on_the_way_is_named(experiment, fail, tmp_path):
    cell = experiment.cells[0]
    evaluation = cell.evaluations[0]
    for log in (f"logs/runs/{evaluation.run_key}/{evaluation.name}.log", "logs/data/drawings.log"):
        fail(log)
        failure = failure_of(cell, experiment, tmp_path)
        assert failure is not None
        assert failure.log == log
    assert failure.error == "the disk is full"


def test_a_result_that_is_there_outweighs_an_old_mark(experiment, fail, finish, tmp_path):
    cell = experiment.cells[0]
    fail(paths.log(paths.trained(cell.evaluations[0].run_key)))
    finish(cell.evaluations[0], 0.7)
    assert build_report(experiment, "toy", tmp_path).cells[0].source == "trained"


def test_a_partial_table_says_failed_and_where_the_log_is(experiment, fail, finish, tmp_path):
    """One cell is there, one failed, one is pending."""
    done, failed, _ = experiment.cells
    finish(done.evaluations[0], 0.7)
    log = fail(
        paths.log(paths.trained(failed.evaluations[0].run_key)), "loss is nan at iteration 3"
    )
    text = render_markdown(build_report(experiment, "toy", tmp_path))
    assert "**partial**: 1 failed, 1 pending, 1 trained" in text
    assert f"**toy/deep failed**: loss is nan at iteration 3 (log: `{log}`)" in text
    assert "| failed |" in text
    assert "70.00" in text


def test_the_status_names_the_failure(experiment, fail, tmp_path):
    log = fail(paths.log(paths.trained(experiment.cells[0].evaluations[0].run_key)), "no memory")
    text = render_status(experiment, tmp_path)
    assert "1 failed" in text
    assert f"no memory (log: {log})" in text


def test_show_names_it_as_well(experiment, fail, tmp_path):
    log = fail(paths.log(paths.trained(experiment.cells[0].evaluations[0].run_key)), "no memory")
    text = render_show(experiment, "toy/wide", tmp_path)
    assert "no memory" in text
    assert log in text


def test_a_damaged_mark_is_still_a_failure(experiment, fail, tmp_path):
    log = fail(paths.log(paths.trained(experiment.cells[0].evaluations[0].run_key)))
    (tmp_path / log).with_suffix(".failed.json").write_text("{")
    assert failure_of(experiment.cells[0], experiment, tmp_path).error == "no reason was kept"
