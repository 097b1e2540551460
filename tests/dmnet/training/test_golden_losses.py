"""Notices a change of the code that changes trained weights.

A run's key holds TRAINING_REVISION, so that runs of the code before and after such a change are
told apart. The losses below were recorded from the job in this file, on images made of NumPy's
random integers. They hold for every CPU within the tolerance; a change that keeps the arithmetic
stays far below it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dmnet.config import TRAINING_REVISION, DatasetConfig, JobConfig
from dmnet.training.history import read_history
from dmnet.training.run import train

RECORDED_REVISION = 1
# (loss of the head, loss of the auxiliary head) of the first five iterations
RECORDED: list[tuple[float, float]] = [
    (1.103173, 0.439597),
    (1.101771, 0.440467),
    (1.084562, 0.4342),
    (1.107702, 0.441987),
    (1.074553, 0.434916),
]
TOLERANCE = 1e-4  # relative

MEANT = (
    "training gives other losses than recorded. If the change is meant, raise TRAINING_REVISION "
    "in dmnet/config/jobs.py by one and record in tests/dmnet/training/test_golden_losses.py: "
)


def test_the_losses_of_the_first_iterations_are_the_recorded_ones(
    tmp_path: Path,
    stripes_data: tuple[DatasetConfig, Path],
    make_job: Callable[..., JobConfig],
) -> None:
    dataset, folder = stripes_data
    job = make_job(
        dataset,
        recipe={"iterations": 5, "lr": 0.1, "weight_decay": 0.2, "batch_size": 4},
        execution={"log_every": 1, "validate_every": 5},
    )
    directory = tmp_path / job.run.key
    train(job, directory, folder, tmp_path)
    rows = [row for row in read_history(directory / "history.jsonl") if "loss" in row]
    losses = [(row["loss_main"], row["loss_auxiliary"]) for row in rows]
    found = f"RECORDED = {[tuple(round(x, 6) for x in pair) for pair in losses]}"
    assert len(losses) == len(RECORDED), MEANT + found
    for pair, recorded in zip(losses, RECORDED, strict=True):
        assert pair == pytest.approx(recorded, rel=TOLERANCE), MEANT + found


def test_the_recorded_losses_are_of_the_present_revision() -> None:
    assert TRAINING_REVISION == RECORDED_REVISION, (
        "TRAINING_REVISION was raised: record the losses of this revision and set "
        "RECORDED_REVISION to it"
    )
