"""Done, running, interrupted, pending: read from the files and the lock of a run."""

from __future__ import annotations

import json

import pytest

from dmnet.training.lock import run_lock
from pipeline.status import clock, render_status, run_status


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


def test_asking_does_not_disturb_the_next_training(run, progress, tmp_path):
    path = tmp_path / "runs" / ".locks" / f"{run.key}.lock"
    with run_lock(path):
        pass
    run_status(run, tmp_path)
    with run_lock(path, poll_seconds=0.01):
        assert run_status(run, tmp_path).state == "running"


def test_the_overview_counts_and_shows_running_ones_first(build, finish, tmp_path, run, progress):
    experiment = build("toy")
    finish(experiment.cells[1].evaluations[0], 0.5)
    text = render_status(experiment, tmp_path)
    assert text.startswith(
        "Preset toy, seeds 1: 0 running, 0 failed, 1 interrupted, 1 done, 1 pending; "
        "1 of 3 evaluations done"
    )
    states = [line.split()[0] for line in text.splitlines()[4:7]]
    assert states == ["interrupted", "done", "pending"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00:00"), (59.4, "0:00:59"), (59.6, "0:01:00"), (3661, "1:01:01"), (90000, "25:00:00")],
)
def test_times_are_hours_minutes_seconds(seconds, shown):
    assert clock(seconds) == shown


@pytest.mark.parametrize("content", ["{}", "[]", "{"])
def test_a_damaged_progress_file_does_not_stop_the_overview(build, run, tmp_path, content):
    path = tmp_path / "runs" / run.key / "progress.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert "3 pending" in render_status(build("toy"), tmp_path)
