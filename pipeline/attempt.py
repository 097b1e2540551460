"""Run a job's command: what it prints goes on and into its log; a failure leaves a mark.

python -m pipeline.attempt LOG COMMAND [ARGUMENT ...]

Snakemake forgets why a job failed; the mark beside the log (`train.log` -> `train.failed.json`)
lets a table say which cell failed and where to look. Whoever stops the job (Ctrl-C, SIGTERM) does
not make it a failure. A killed or out-of-memory command does, as this process outlives it. Only
light imports here: every job starts through this file.

A command that ends with status 75 is to be continued: it saved its state, as its allocation ends.
That is no failure either. In a SLURM job, the job is then queued again under its number, which
Snakemake sees as a job that is not done yet; elsewhere the same command goes on.

In an allocation that many jobs share (profiles/allocation), DMNET_STEP says how the command becomes
a job step of its own; SLURM gives it processors, GPU and memory, or lets it wait for them.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

TO_BE_CONTINUED = 75  # as in dmnet/errors.py
REQUEUE_SECONDS = 120.0  # for scontrol to answer, and for SLURM to end the job
OTHERS_SECONDS = 20.0  # that other steps of the allocation have to save, before it is queued again
SHOWN = 300  # characters of the last line that the mark keeps


def mark_of(log: Path) -> Path:
    """Where a failure of the job with this log is written down."""
    return log.with_suffix(".failed.json")


def attempt(log: Path, command: list[str]) -> int:
    """The command's exit status, in the shell's manner for a signal (128 + its number)."""
    log.parent.mkdir(parents=True, exist_ok=True)
    mark_of(log).unlink(missing_ok=True)
    stopped: list[int] = []
    process = subprocess.Popen(_step() + command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        if number != signal.SIGINT and process.poll() is None:  # Ctrl-C reaches the whole group
            process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    last = _pass_on(process, log)
    status = process.wait()
    if status == TO_BE_CONTINUED:
        if not stopped and (job := os.environ.get("SLURM_JOB_ID")):
            if _step():
                _wait(OTHERS_SECONDS, stopped)
            _requeue(job, log, stopped)
    elif status == 0:
        # An attempt that outlived its Snakemake may have failed while this one did its work.
        mark_of(log).unlink(missing_ok=True)
    elif not stopped:
        _write_mark(log, status, last)
    return status if status >= 0 else 128 - status


def _requeue(job: str, log: Path, stopped: list[int]) -> None:
    """Queue the SLURM job again and wait for SLURM to end it, so that it is not seen to fail."""
    try:
        command = ["scontrol", "requeue", job]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=REQUEUE_SECONDS, check=False
        )
        problem = done.stderr.strip() if done.returncode else ""
    except (OSError, subprocess.SubprocessError) as error:
        problem = str(error)
    line = (
        f"SLURM job {job} cannot be queued again ({problem}); the same command goes on"
        if problem
        else f"SLURM job {job} is queued again and goes on"
    )
    with log.open("ab") as stream:
        for descriptor in (sys.stdout.fileno(), stream.fileno()):
            _write(descriptor, (line + "\n").encode())
    if not problem:
        _wait(REQUEUE_SECONDS, stopped)


def _wait(seconds: float, stopped: list[int]) -> None:
    until = time.monotonic() + seconds
    while not stopped and time.monotonic() < until:
        time.sleep(0.2)


def _step() -> list[str]:
    """What makes the command a job step; the job's threads are those that Snakemake sets."""
    if "DMNET_STEP" not in os.environ:
        return []
    cpus = os.environ.get("OMP_NUM_THREADS", "1")
    return [*shlex.split(os.environ["DMNET_STEP"]), f"--cpus-per-task={cpus}"]


def _pass_on(process: subprocess.Popen[bytes], log: Path) -> str:
    """Copy the output line by line; the last line with `error:` in front, else the last of all."""
    assert process.stdout is not None
    last = ""
    reader, terminal = process.stdout, True
    with log.open("ab") as stream:
        for line in iter(reader.readline, b""):
            if terminal:
                terminal = _write(sys.stdout.fileno(), line)
            _write(stream.fileno(), line)
            text = line.decode(errors="replace").strip()
            if text and (text.startswith("error:") or not last.startswith("error:")):
                last = text
    return last


def _write(descriptor: int, line: bytes) -> bool:
    """False when nobody reads any more, or the disk is full: neither may stop the command."""
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except OSError:
        return False
    return True


def _write_mark(log: Path, status: int, last: str) -> None:
    if status < 0:
        last = f"killed by signal {-status} ({signal.Signals(-status).name}); last line: {last}"
    content = {"log": str(log), "exit": status, "error": last.removeprefix("error: ")[:SHOWN]}
    path, temporary = mark_of(log), mark_of(log).with_suffix(".tmp")
    try:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(path)
    except OSError:  # a full disk: the job has failed anyway, and its exit status says so
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -m pipeline.attempt LOG COMMAND [ARGUMENT ...]")
    sys.exit(attempt(Path(sys.argv[1]), sys.argv[2:]))
