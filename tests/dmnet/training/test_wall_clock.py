"""A run stops, saved, before its allocation ends; many short ones train what one long one does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dmnet.config import DatasetConfig, JobConfig
from dmnet.errors import TO_BE_CONTINUED, ConfigError, OutOfTimeError, RunError
from dmnet.files import read_json, write_text
from dmnet.training import trainer, wall_clock
from dmnet.training.run import train
from dmnet.training.wall_clock import SLURM_MARGIN, WallClock, allocation_end

Prepared = tuple[DatasetConfig, Path]
MakeJob = Callable[..., JobConfig]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """Time that passes by work only: 10 s an iteration, 3 a save, 40 a validation."""
    fake = FakeTime()
    monkeypatch.setattr(wall_clock, "time", fake)
    for name, seconds in (("_step", 10.0), ("_write_state", 3.0), ("_validate", 40.0)):
        monkeypatch.setattr(trainer.Trainer, name, fake.taking(name, seconds))
    return fake


class KilledError(Exception):
    """The scheduler's doing."""


class FakeTime:
    def __init__(self) -> None:
        self.now, self.end = 1000.0, float("inf")
        self.done: list[str] = []

    def time(self) -> float:
        return self.now

    monotonic = time

    def taking(self, name: str, seconds: float) -> Callable[..., None]:
        original = getattr(trainer.Trainer, name)

        def method(*arguments: object) -> None:
            if self.now + seconds >= self.end:
                raise KilledError
            original(*arguments)
            self.now += seconds
            self.done.append(name)

        return method


def test_many_short_allocations_end_with_the_weights_of_one_long(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob, clock: FakeTime
) -> None:
    """Each is long enough for few iterations, and hardly for a validation and the saves around.

    How long a validation takes is unknown before the first, so that one may be killed.
    """
    execution = {"validate_every": 7, "checkpoint_every": 1000, "log_every": 3}
    job = make_job(drawn_data[0], recipe={"iterations": 24}, execution=execution)
    long, short = (tmp_path / name / job.run.key for name in ("long", "short"))
    train(job, long, drawn_data[1], tmp_path)
    clock.done.clear()

    allocations, killed, length = 0, 0, 100.0
    while not (short / "train.json").exists():
        clock.end = clock.now + length
        allocations += 1
        try:
            train(job, short, drawn_data[1], tmp_path, end=clock.end)
        except OutOfTimeError as error:
            assert "to be continued by the same command" in str(error)
            assert not (short / "train.json").exists()
        except KilledError:
            killed += 1
        clock.now = clock.end + 500  # in the queue
    assert allocations > 4 and killed <= 1
    assert clock.done.count("_step") == 24 and clock.done.count("_validate") == 4  # nothing twice
    for part in ("weights", "history"):
        ours, theirs = (read_json(run / "train.json")[part]["sha256"] for run in (short, long))
        assert ours == theirs


@pytest.mark.parametrize(("length", "what"), [(0, "iteration"), (60, "validation")])
def test_an_allocation_too_short_for_anything_is_an_error_not_an_endless_loop(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    clock: FakeTime,
    length: float,
    what: str,
) -> None:
    job = make_job(drawn_data[0], execution={"validate_every": 1})
    folder = tmp_path / job.run.key
    with pytest.raises(RunError, match=rf"ends before one {what} can be done and saved"):
        for _ in range(20):
            try:
                train(job, folder, drawn_data[1], tmp_path, end=clock.now + length)
            except OutOfTimeError:
                clock.now += length


def test_the_command_line_stops_with_its_own_status_and_one_line(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from dmnet.__main__ import main

    monkeypatch.setattr(WallClock, "has_time_for", lambda clock, what: clock.longest["save"] == 0)
    job = make_job(drawn_data[0])
    folder = tmp_path / "runs" / job.run.key
    write_text(folder / "config.json", job.model_dump_json())
    command = ["train", "--config", str(folder / "config.json"), "--data", str(drawn_data[1])]
    assert main([*command, "--until", str(time.time() + 3600)]) == TO_BE_CONTINUED
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith(("stopped:", "error:"))] == [
        f"stopped: {folder}: saved at iteration 2 of 6, as the allocation ends; to be continued by "
        "the same command"
    ]


def test_the_end_is_the_options_the_users_or_slurms(monkeypatch: pytest.MonkeyPatch) -> None:
    assert allocation_end(None, {}) is None
    slurm = {"SLURM_JOB_ID": "1", "SLURM_JOB_END_TIME": "5000"}
    assert allocation_end(None, slurm) == 5000 - SLURM_MARGIN
    assert allocation_end(None, {**slurm, "DMNET_UNTIL": "4000.5"}) == 4000.5
    assert allocation_end(3.0, {**slurm, "DMNET_UNTIL": "4000"}) == 3.0
    with pytest.raises(ConfigError, match="DMNET_UNTIL=noon: expected seconds since 1970"):
        allocation_end(None, {"DMNET_UNTIL": "noon"})


@pytest.mark.parametrize(("answer", "known"), [("2026-01-02T03:04:05", True), ("N/A", False)])
def test_where_the_job_does_not_know_squeue_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, known: bool
) -> None:
    program = tmp_path / "squeue"
    program.write_text(f"#!/bin/sh\ntest \"$*\" = '-h -j 7 -o %e' && echo {answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    expected = time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1)) - SLURM_MARGIN if known else None
    assert allocation_end(None, {"SLURM_JOB_ID": "7"}) == expected
