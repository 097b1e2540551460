"""A job's command keeps its output and status; only a failure of its own leaves a mark."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from pipeline.attempt import mark_of


@pytest.fixture
def log(tmp_path):
    return tmp_path / "logs" / "run" / "train.log"


@pytest.fixture
def start(log):
    def start(code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.attempt", str(log), sys.executable, "-c", code],
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
