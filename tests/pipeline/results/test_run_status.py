"""Done, running, interrupted, pending: read from the files and the lock of a run."""

from __future__ import annotations

import json
import os

import pytest

from dmnet.lock import run_lock
from pipeline.results.run_status import run_status


@pytest.fixture
def run(build):
    return next(iter(build("toy").runs.values()))


@pytest.fixture
def progress(run, tmp_path):
    folder = tmp_path / "runs" / run.key
    folder.mkdir(parents=True)
    content = {"iteration": 3, "eta_seconds": 61.0, "val_miou": 0.25}
    (folder / "progress.json").write_text(json.dumps(content))


def test_a_run_without_files_is_pending(run, tmp_path):
    assert run_status(run, tmp_path).state == "pending"


def test_a_run_whose_lock_is_held_is_running(run, progress, tmp_path):
    with run_lock(tmp_path / "runs" / ".locks" / f"{run.key}.lock"):
        status = run_status(run, tmp_path)
    assert (status.state, status.iteration, status.eta_seconds) == ("running", 3, 61.0)


def test_a_run_that_has_just_begun_is_running(run, tmp_path):
    with run_lock(tmp_path / "runs" / ".locks" / f"{run.key}.lock"):
        assert run_status(run, tmp_path).state == "running"


def test_progress_without_a_lock_is_an_interrupted_run_without_an_end_in_sight(
    run, progress, tmp_path
):
    status = run_status(run, tmp_path)
    assert (status.state, status.iteration, status.eta_seconds) == ("interrupted", 3, None)


def test_a_pipe_in_a_locks_place_is_not_waited_for(run, progress, tmp_path):
    (tmp_path / "runs" / ".locks").mkdir()
    os.mkfifo(tmp_path / "runs" / ".locks" / f"{run.key}.lock")
    assert run_status(run, tmp_path).state == "interrupted"


def test_asking_does_not_disturb_the_next_training(run, progress, tmp_path):
    path = tmp_path / "runs" / ".locks" / f"{run.key}.lock"
    with run_lock(path):
        pass
    run_status(run, tmp_path)
    with run_lock(path, poll_seconds=0.01):
        assert run_status(run, tmp_path).state == "running"
