"""The curve of a run: rows appended, cut back on resuming, whole after a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmnet.errors import RunError
from dmnet.training.history import History, read_history

ROWS = [{"iteration": i, "loss": 1.0 / i} for i in (10, 20, 30)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "history.jsonl"
    history = History(path, 0)
    for row in ROWS:
        history.append(row)
    return path


def test_what_is_appended_is_read_back(path: Path) -> None:
    assert read_history(path) == ROWS


def test_a_missing_file_is_an_empty_history(tmp_path: Path) -> None:
    assert read_history(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(("resumed_at", "kept"), [(0, 0), (9, 0), (10, 1), (25, 2), (30, 3)])
def test_resuming_drops_the_rows_that_will_be_made_again(
    path: Path, resumed_at: int, kept: int
) -> None:
    History(path, resumed_at).append({"iteration": 99})
    assert read_history(path) == [*ROWS[:kept], {"iteration": 99}]


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_line_that_a_kill_cut_short_is_left_out_and_does_not_spoil_the_next(
    path: Path, cut: int
) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    complete = ROWS if cut == 1 else ROWS[:2]
    assert read_history(path) == complete
    History(path, 30).append({"iteration": 40})
    assert read_history(path) == [*complete, {"iteration": 40}]


def test_equal_rows_give_equal_bytes_whatever_the_order_of_their_keys(tmp_path: Path) -> None:
    for name, row in (("a", {"iteration": 1, "lr": 0.5}), ("b", {"lr": 0.5, "iteration": 1})):
        History(tmp_path / name, 0).append(row)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_place_that_cannot_be_written_is_a_run_error(path: Path, tmp_path: Path) -> None:
    history = History(path, 30)
    history.path = path / "below-a-file"
    with pytest.raises(RunError, match=r"below-a-file: cannot be written"):
        history.append({"iteration": 40})


def test_a_pipe_in_its_place_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "history.jsonl")
    with pytest.raises(RunError, match=r"history\.jsonl: cannot be read \(no plain file\)"):
        read_history(tmp_path / "history.jsonl")
