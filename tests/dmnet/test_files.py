"""Files that are whole or absent, and JSON whose bytes follow from its value."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmnet.errors import RunError
from dmnet.files import (
    atomic_write,
    is_name,
    read_bounded,
    read_json,
    sha256_bytes,
    sha256_file,
    to_json,
    write_bytes,
    write_json,
    write_text,
)


def test_a_file_and_its_folders_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    write_text(path, "äöü\n")
    assert path.read_text(encoding="utf-8") == "äöü\n"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(1)])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(type(error)), atomic_write(path) as stream:
        stream.write(b"half of the new")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with atomic_write(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_full_disk_is_a_run_error_that_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"file\.txt: cannot be written \(No space left on device\)"):
        write_bytes(tmp_path / "file.txt", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_exist_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"result\.json: cannot be written"):
        write_json(tmp_path / "file" / "result.json", {})


def test_a_target_that_is_a_folder_is_a_run_error_that_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    with pytest.raises(RunError, match="result: cannot be written"):
        write_text(tmp_path / "result", "content")
    assert [p.name for p in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_a_result_is_as_readable_as_any_new_file(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates are no text and cannot be written.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(value=JSON)
def test_json_is_read_back_and_equal_values_give_equal_bytes(value: Any) -> None:
    text = to_json(value)
    assert json.loads(text) == value
    if isinstance(value, dict):
        assert to_json(dict(reversed(value.items()))) == text


def test_json_without_nan_or_infinity(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}"])
def test_a_damaged_json_file_is_a_run_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(RunError, match=r"file\.json: not valid JSON.*delete it") as caught:
        read_json(tmp_path / "file.json")
    assert "\n" not in str(caught.value)


def test_a_missing_json_file_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"file\.json: cannot be read \(No such file"):
        read_json(tmp_path / "file.json")


def test_hashes_of_bytes_and_of_files_are_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == sha256_bytes(content)
    assert sha256_bytes(content) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "nested deeper than 40"),
        (f"{'[' * 41}{']' * 41}", "nested deeper than 40"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"a": -Infinity}', "-Infinity is no number of JSON"),
        ('{"a": 1e999}', "a number that is not finite"),
        ('{"a": 99999999999999999999}', "a number beyond 64 bits"),
        (f"[{'9' * 5000}]", "Exceeds the limit"),
        (r'{"a": "\ud800"}', "surrogates not allowed"),  # could be neither printed nor written
        (r'{"\ud800": 1}', "surrogates not allowed"),
        (f'"{"x" * 2**24}"', "more than 16777216 bytes"),
    ],
)
def test_json_that_could_not_be_worked_with_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(RunError, match=f"not valid JSON .*{problem}") as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}: ") and len(str(caught.value)) < 500


def test_forty_levels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(f"{'[' * 40}{']' * 40}")
    read_json(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file.json")
    with pytest.raises(RunError, match="no plain file"):
        read_json(tmp_path / "file.json")


@pytest.mark.parametrize("read", [sha256_file, lambda path: read_bounded(path, 9)])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_only_plain_files_are_read(tmp_path: Path, read: Any, make: Any) -> None:
    make(tmp_path / "weights.pt")
    with pytest.raises(OSError, match="no plain file"):
        read(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "..", ".", "", "a\\b", "a\0b", "a\nb", 5, None]
)
def test_what_is_no_name_of_a_file_in_a_folder(name: object) -> None:
    assert is_name("weights.pt") and not is_name(name)
