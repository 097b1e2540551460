"""Loader workers where the machine has room for them, and fewer where it has not."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmnet.config import RecipeConfig
from dmnet.data import worker_room
from dmnet.data.worker_room import affordable_workers, bytes_of_batch

MIB = 2**20
PAPER = RecipeConfig(
    lr=0.01, weight_decay=0.0, iterations=1, batch_size=16, crop_size=(512, 512), sync_bn=True
)


@pytest.fixture(autouse=True)
def no_socket_folder_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    monkeypatch.delitem(config, "tempdir", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield


@pytest.fixture
def long_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TMPDIR of more characters than a socket's path may have."""
    folder = tmp_path / ("a" * 80)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def socket_folder() -> Path:
    return Path(multiprocessing.current_process()._config["tempdir"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("free", "wanted", "sharing", "workers"),
    [
        (1100, 8, 1, 8),  # 8 workers x 2 batches and 2 more, of 54 MB
        (500, 8, 1, 3),
        (500, 8, 4, 0),  # four processes share it
        (64, 8, 1, 0),  # what Docker gives
        (64, 0, 1, 0),
    ],
)
def test_as_many_workers_as_shared_memory_holds_batches(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    free: int,
    wanted: int,
    sharing: int,
    workers: int,
) -> None:
    monkeypatch.setattr(worker_room, "_free_bytes", lambda folder: free * MIB)
    assert bytes_of_batch(PAPER, 1) == 54525952
    assert affordable_workers(wanted, 54525952, sharing) == workers
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (workers < wanted)
    assert all(f"/dev/shm: {free} MiB free, but execution.workers: {wanted}" in s for s in lines)
    assert all("--shm-size" in line for line in lines)


def test_no_shared_memory_at_all_is_no_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker_room, "SHARED_MEMORY", tmp_path / "absent")
    assert affordable_workers(2, 1000) == 0


def test_a_long_tmpdir_has_its_sockets_elsewhere(
    long_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert affordable_workers(2, 1000) == 2
    assert len(os.fsencode(socket_folder() / "listener-xxxxxxxx")) <= 107
    assert [record.getMessage() for record in caplog.records] == [
        f"{long_folder}: too long a path for sockets; those of loader workers are in /tmp"
    ]
    assert tempfile.gettempdir() == str(long_folder)  # all else stays where the user wants it


def test_without_any_short_folder_the_training_process_loads(
    long_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_room, "SHORT_FOLDERS", ("/absent",))
    assert affordable_workers(2, 1000) == 0
    assert "set TMPDIR to a short path" in caplog.text
