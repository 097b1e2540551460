"""One process per run: others wait, and a holder's death frees the lock."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmnet.errors import RunError
from dmnet.lock import run_lock

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from dmnet.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process_holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_second_process_waits_until_the_holder_is_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "locks" / "0123.lock"
    got_it = threading.Event()

    def wait_for_it() -> None:
        with run_lock(path, poll_seconds=0.01):
            got_it.set()

    with another_process_holding(path) as holder, caplog.at_level(logging.WARNING):
        waiting = threading.Thread(target=wait_for_it, daemon=True)
        waiting.start()
        assert not got_it.wait(0.5)
        os.kill(holder.pid, signal.SIGKILL)
        assert got_it.wait(10)
        waiting.join(10)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert f"0123 is being trained by process {holder.pid} on " in warnings[0]


def test_the_lock_is_free_again_afterwards_even_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "0123.lock"
    with pytest.raises(ZeroDivisionError), run_lock(path):
        raise ZeroDivisionError
    started = time.monotonic()
    with run_lock(path, poll_seconds=30):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert time.monotonic() - started < 10


def test_a_place_that_cannot_be_written_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match=r"0123\.lock: cannot be opened"),
        run_lock(tmp_path / "file" / "0123.lock"),
    ):
        pass


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def flock(stream: object, operation: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", flock)
    expected = r"0123\.lock: this file system gives no locks .* mount it with them \(Lustre: "
    with pytest.raises(RunError, match=expected), run_lock(tmp_path / "0123.lock"):
        pass


def test_a_full_disk_while_the_holder_signs_is_a_run_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)
    with (
        pytest.raises(RunError, match=r"0123\.lock: cannot be written \(No space left"),
        run_lock(tmp_path / "0123.lock"),
    ):
        pass


def test_every_lock_goes_through_this_module() -> None:
    """So that each of them is refused in the same words where there are none."""
    packages = [ROOT / name for name in ("dmnet", "pipeline")]
    using = [p for folder in packages for p in folder.rglob("*.py") if "fcntl" in p.read_text()]
    assert using == [ROOT / "dmnet" / "lock.py"]
