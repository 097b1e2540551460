"""A cluster's job resolves one cell, and knows of it what the login node knows."""

from __future__ import annotations

import json

import pytest

from pipeline.one_cell import Hints
from pipeline.workflow import Workflow


@pytest.fixture(scope="module")
def login():
    return Workflow({"source": "both", "preset": "paper"})


@pytest.fixture
def job(login, tmp_path):
    job = Workflow({"source": "both", "preset": "paper"}, in_job=True)
    job.hints = Hints("paper", 1, "both", tmp_path)
    job.hints.write(login.experiment)
    return job


def resolved_everything(study):
    return "experiment" in vars(study)


def ancient(path):
    return path


def test_every_job_asks_for_the_same_as_the_login_node_says(login, job):
    for key in login.experiment.runs:  # with the parents of fine-tuned runs
        assert job.cells_of(key) == login.cells_of(key)
        assert job.parent(key, ancient) == login.parent(key, ancient)
        assert job.training_minutes(key, 2) == login.training_minutes(key, 2)
        assert job.data_of(key, ancient) == login.data_of(key, ancient)
    for key, name in login.experiment.evaluations:
        assert job.evaluation_json(key, name) == login.evaluation_json(key, name)
    for key in login.experiment.releases:
        assert job.release_manifest(key) == login.release_manifest(key)
    for key in login.experiment.speeds:
        assert job.speed_json(key) == login.speed_json(key)
    for key in login.experiment.profiles:
        assert job.profile_json(key) == login.profile_json(key)
    assert job.options == login.options and job.repeat == login.repeat
    assert not resolved_everything(job)


WRONG = ["without hints", "led to another cell", "led to no table", "damaged hints"]


@pytest.mark.parametrize("what", WRONG)
def test_it_resolves_everything_when_its_hint_does_not_help(login, job, what):
    key, name = next(k for k in login.experiment.evaluations if k[0] in login.experiment.runs)
    if what == "without hints":
        job.hints.path.unlink()
    elif what.startswith("led to"):
        content = json.loads(job.hints.path.read_text())
        table = "table5" if what == "led to another cell" else "table99"
        content["cells"] = dict.fromkeys(content["cells"], [table, "fcn-r101"])
        job.hints.path.write_text(json.dumps(content))
    else:
        job.hints.path.write_text('{"cells": ')
    assert job.evaluation_json(key, name) == login.evaluation_json(key, name)
    assert job.cells_of(key) == login.cells_of(key)
    assert resolved_everything(job)
