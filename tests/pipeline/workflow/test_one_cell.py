"""A cluster's job resolves one cell, and knows of it what the login node knows."""

from __future__ import annotations

import json

import pytest

from pipeline import paths
from pipeline.workflow import Study
from pipeline.workflow.one_cell import Hints


@pytest.fixture(scope="module")
def login():
    return Study({"source": "both", "preset": "paper"})


@pytest.fixture
def job(login, tmp_path):
    job = Study({"source": "both", "preset": "paper"}, in_job=True)
    job.jobs.hints = Hints("paper", 1, "both", str(tmp_path))
    job.jobs.hints.write(login.jobs.experiment)
    return job


def resolved_everything(study):
    return "experiment" in vars(study.jobs)


def ancient(path):
    return path


def answers(study, experiment):
    """What rules ask about every run, evaluation, release and measurement of `experiment`."""
    jobs, inputs = study.jobs, study.inputs
    for key in experiment.runs:  # with the parents of fine-tuned runs
        yield jobs.run(key).cells
        yield study.resources.estimates.training_minutes(jobs.run(key).job.run, 2)
        yield inputs.of_training(key, ancient)
    for key, name in experiment.evaluations:
        yield jobs.evaluation_json(key, name)
        kind = paths.RUNS if key in experiment.runs else paths.RELEASED
        yield inputs.of_result(paths.evaluation(key, name, kind), ancient)
    for cell in experiment.cells:
        if cell.measured:
            yield inputs.sources_of(cell.dataset.name)
    for speed in experiment.speeds:
        yield jobs.speed_json(speed.key)
    for count in experiment.counts:
        yield jobs.profile_json(count.key)
    yield study.options, study.repeat


def test_every_job_asks_for_the_same_as_the_login_node_says(login, job):
    everything = login.jobs.experiment
    assert list(answers(job, everything)) == list(answers(login, everything))
    assert not resolved_everything(job)


WRONG = [
    *("without hints", "led to another cell", "led to no table"),
    *("damaged hints", "hints of another form"),
]


@pytest.mark.parametrize("what", WRONG)
def test_it_resolves_everything_when_its_hint_does_not_help(login, job, what):
    key, name = next(
        k for k in login.jobs.experiment.evaluations if k[0] in login.jobs.experiment.runs
    )
    if what == "without hints":
        job.jobs.hints.path.unlink()
    elif what.startswith("led to"):
        content = json.loads(job.jobs.hints.path.read_text())
        table = "table5" if what == "led to another cell" else "table99"
        content["cells"] = dict.fromkeys(content["cells"], [table, "fcn-r101"])
        job.jobs.hints.path.write_text(json.dumps(content))
    else:
        damaged = '{"cells": ' if what == "damaged hints" else '{"cells": [], "served": [1]}'
        job.jobs.hints.path.write_text(damaged)
    assert job.jobs.evaluation_json(key, name) == login.jobs.evaluation_json(key, name)
    assert job.jobs.run(key).cells == login.jobs.run(key).cells
    assert resolved_everything(job)
