"""A job's command keeps its output and status; only a failure of its own leaves a mark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dmnet.errors import TO_BE_CONTINUED as TRAINING_IS_TO_BE_CONTINUED
from pipeline.attempt import TO_BE_CONTINUED, mark_of


@pytest.fixture
def log(tmp_path):
    return tmp_path / "logs" / "run" / "train.log"


@pytest.fixture
def start(log):
    def start(code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.attempt", str(log), sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    return start


def test_output_goes_on_and_into_the_log(start, log):
    job = start("import sys; print('one'); print('two', file=sys.stderr)")
    assert sorted(job.communicate()[0].split()) == ["one", "two"]
    assert job.returncode == 0
    assert sorted(log.read_text().split()) == ["one", "two"]
    assert not mark_of(log).exists()


def test_a_failure_is_marked_with_its_error_line_and_status(start, log):
    job = start("import sys; print('error: data/x: gone'); print('bye'); sys.exit(3)")
    job.communicate()
    assert job.returncode == 3
    assert json.loads(mark_of(log).read_text()) == {
        "log": str(log),
        "exit": 3,
        "error": "data/x: gone",
    }


def test_the_next_success_takes_the_mark_away(start, log):
    start("raise SystemExit(1)").communicate()
    assert mark_of(log).exists()
    start("pass").communicate()
    assert not mark_of(log).exists()


def test_so_does_a_success_while_an_older_attempt_at_the_same_job_failed(start, log):
    """Its Snakemake was killed, it went on, and was killed itself when the next had begun."""
    job = start("import sys; print('began', flush=True); sys.stdin.read()")
    job.stdout.readline()
    mark_of(log).write_text("{}")
    job.stdin.close()
    assert job.wait() == 0 and not mark_of(log).exists()


def test_a_killed_command_is_a_failure_that_names_the_signal(start, log):
    job = start("import os; print('step 7', flush=True); os.kill(os.getpid(), 9)")
    job.communicate()
    assert job.returncode == 137
    assert json.loads(mark_of(log).read_text())["error"] == (
        "killed by signal 9 (SIGKILL); last line: step 7"
    )


def test_a_stopped_job_is_no_failure_and_stops_its_command(start, log):
    job = start("import time; print('ready', flush=True); time.sleep(60)")
    assert job.stdout.readline() == "ready\n"
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=10)
    assert job.returncode == 128 + signal.SIGTERM
    assert not mark_of(log).exists()


def test_output_that_nobody_reads_does_not_stop_the_command(start, log):
    job = start("import time\nfor i in range(20): print(i, flush=True); time.sleep(0.01)")
    job.stdout.close()
    assert job.wait(timeout=10) == 0
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and len(log.read_text().split()) < 20:
        time.sleep(0.05)
    assert log.read_text().split() == [str(i) for i in range(20)]


def test_a_command_to_be_continued_is_no_failure(start, log, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    job = start("raise SystemExit(75)")
    job.communicate()
    assert job.returncode == TO_BE_CONTINUED == TRAINING_IS_TO_BE_CONTINUED
    assert not mark_of(log).exists()


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A SLURM job whose `scontrol` is the given shell script; it writes down how it is called."""

    def install(script: str) -> None:
        program = tmp_path / "bin" / "scontrol"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho $@ > {tmp_path}/called\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "42")

    return install


def test_within_slurm_the_job_is_queued_again_and_ended_by_slurm(start, log, scontrol, tmp_path):
    scontrol("kill -TERM $PPID")  # SLURM ends the job's processes
    job = start("raise SystemExit(75)")
    output = job.communicate(timeout=30)[0]
    assert (tmp_path / "called").read_text() == "requeue 42\n"
    assert "SLURM job 42 is queued again and goes on" in output
    assert output in log.read_text() and not mark_of(log).exists()


def test_a_job_that_cannot_be_queued_again_says_so_at_once(start, log, scontrol):
    scontrol("echo 'Requested operation is presently disabled' >&2; exit 1")
    job = start("raise SystemExit(75)")
    output = job.communicate(timeout=30)[0]
    assert "cannot be queued again (Requested operation is presently disabled)" in output
    assert job.returncode == TO_BE_CONTINUED and not mark_of(log).exists()


def test_a_failure_within_slurm_is_one(start, log, scontrol, tmp_path):
    scontrol("")
    start("raise SystemExit(1)").communicate()
    assert mark_of(log).exists() and not (tmp_path / "called").exists()


def test_in_a_shared_allocation_the_command_becomes_a_step_with_the_jobs_threads(log):
    environment = os.environ | {"DMNET_STEP": "echo srun --mem=5", "OMP_NUM_THREADS": "3"}
    command = [sys.executable, "-m", "pipeline.attempt", str(log), "train", "--label", "x"]
    subprocess.run(command, env=environment, check=True)
    assert log.read_text() == "srun --mem=5 --cpus-per-task=3 train --label x\n"
