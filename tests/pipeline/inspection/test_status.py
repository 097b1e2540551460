"""The overview of an experiment's runs."""

from __future__ import annotations

import json

import pytest

from pipeline.inspection.status import render_status


@pytest.fixture
def experiment(build):
    return build("toy")


@pytest.fixture
def progress(experiment, tmp_path):
    """The first run's, which may hold anything."""
    folder = tmp_path / "runs" / next(iter(experiment.runs))
    folder.mkdir(parents=True)
    return folder / "progress.json"


def test_the_overview_counts_and_shows_running_ones_first(experiment, finish, progress, tmp_path):
    progress.write_text(json.dumps({"iteration": 3, "eta_seconds": 61.0, "val_miou": 0.25}))
    finish(experiment.cells[1].evaluations[0], 0.5)
    text = render_status(experiment, tmp_path)
    assert text.startswith(
        "Preset toy, seeds 1: 0 running, 0 failed, 1 interrupted, 1 done, 1 pending; "
        "1 of 3 evaluations done"
    )
    states = [line.split()[0] for line in text.splitlines()[4:7]]
    assert states == ["interrupted", "done", "pending"]


@pytest.mark.parametrize("content", ["{}", "[]", "{"])
def test_a_damaged_progress_file_does_not_stop_the_overview(
    experiment, progress, tmp_path, content
):
    progress.write_text(content)
    assert "3 pending" in render_status(experiment, tmp_path)
