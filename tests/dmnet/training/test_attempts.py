"""The record of a run names the code that made its weights, whatever lies on the disk at the end.

Runs are trained by a copy of the package in a repository of its own, where code may be edited.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmnet.config import DatasetConfig, JobConfig
from dmnet.files import read_json, write_text
from dmnet.training.resume import ResumeStates

ROOT = Path(__file__).resolve().parents[3]

Prepared = tuple[DatasetConfig, Path]
MakeJob = Callable[..., JobConfig]
ITERATIONS = 40


class Clone:
    """A clean checkout of the package, and one run that it trains."""

    def __init__(self, folder: Path, job: JobConfig, data: Path) -> None:
        self.folder, self.data = folder, data
        self.run = folder / "runs" / job.run.key
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "dmnet", folder / "dmnet", ignore=ignored)
        write_text(self.run / "config.json", job.model_dump_json())
        self.git("init", "-q")
        self.git("add", "dmnet")
        self.git("commit", "-qm", "all")
        self.commit = self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def edit(self) -> None:
        """The learning rate is a tenth from here on."""
        path = self.folder / "dmnet/training/schedule.py"
        text = path.read_text()
        assert text.count("    return (lr - min_lr)") == 1
        path.write_text(text.replace("    return (lr - min_lr)", "    return 0.1 * (lr - min_lr)"))

    def start(self) -> subprocess.Popen[str]:
        """Until a state is saved."""
        command = [sys.executable, "-m", "dmnet", "train", "--config", self.run / "config.json"]
        process = subprocess.Popen(
            [*command, "--data", self.data], cwd=self.folder, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        while not (self.run / "resume/states.json").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        return process

    def stop(self) -> None:
        process = self.start()
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 1 and "run the same command to go on" in told

    def end(self, process: subprocess.Popen[str] | None = None) -> tuple[dict[str, Any], str]:
        """`train.json`, and what was told."""
        process = process or self.start()
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
        trained: dict[str, Any] = read_json(self.run / "train.json")
        return trained, told


@pytest.fixture
def clone(tmp_path: Path, drawn_data: Prepared, make_job: MakeJob) -> Clone:
    job = make_job(
        drawn_data[0],
        recipe={"iterations": ITERATIONS},
        execution={"checkpoint_every": 2, "validate_every": ITERATIONS, "log_every": 1},
    )
    return Clone(tmp_path / "clone", job, drawn_data[1])


def test_an_edit_that_is_stashed_while_it_trains_stays_in_the_record(clone: Clone) -> None:
    clone.edit()
    process = clone.start()
    clone.git("stash", "-q")
    trained, told = clone.end(process)
    code = trained["code"]
    assert code["commit"] == clone.commit and code["modified"] is True
    assert code["changed"] is True and "files of dmnet/ changed while this ran" in told
    (attempt,) = trained["attempts"]
    assert attempt["code"] == code and (attempt["from"], attempt["to"]) == (0, ITERATIONS)
    assert attempt["environment"] == trained["environment"]
    assert attempt["parameters"]["key"] == trained["key"]
    assert attempt["parameters"]["execution"]["checkpoint_every"] == 2


def test_a_run_that_goes_on_by_other_code_keeps_both_records(clone: Clone) -> None:
    clone.edit()
    clone.stop()
    clone.git("stash", "-q")
    trained, told = clone.end()
    assert "going on with other code than before" in told
    first, second = trained["attempts"]
    assert first["code"]["modified"] is True and second["code"]["modified"] is False
    assert first["code"]["sha256"] != second["code"]["sha256"]
    assert 0 == first["from"] < first["to"] == second["from"] < second["to"] == ITERATIONS
    assert trained["code"] == second["code"] and second["code"]["changed"] is False


def test_a_run_that_goes_on_by_the_same_code_says_so(clone: Clone) -> None:
    clone.stop()
    trained, told = clone.end()
    first, second = trained["attempts"]
    assert first["code"] == second["code"] and first["code"]["modified"] is False
    assert "other code" not in told and "changed" not in told


def test_a_change_of_an_attempt_that_was_stopped_is_not_forgotten(clone: Clone) -> None:
    process = clone.start()
    clone.edit()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    clone.git("stash", "-q")
    trained, _ = clone.end()
    assert [attempt["code"]["changed"] for attempt in trained["attempts"]] == [True, False]


def test_a_state_from_before_attempts_were_recorded_is_gone_on_from(clone: Clone) -> None:
    clone.stop()
    index = read_json(clone.run / "resume/states.json")
    states = ResumeStates(clone.run / "resume", index["identity"])
    state = states.load()
    assert state is not None
    del state["attempts"]
    states.save(state, state["iteration"])
    trained, told = clone.end()
    first, _ = trained["attempts"]
    assert first["code"] is None and first["to"] == state["iteration"]
    assert "going on with other code than before" in told
