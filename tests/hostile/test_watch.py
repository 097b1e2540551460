"""The fuzzer notices what it is for; else its silence would mean nothing."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmnet.errors import RunError
from tests.hostile.doors import NOT_FOR_STRANGERS, doors
from tests.hostile.mutate import mutate
from tests.hostile.watch import NO_NUMBER, Watch, snapshot, wrong_number, wrong_text


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    """One for all, as audit hooks stay for good."""
    root = tmp_path_factory.mktemp("watched")
    return Watch(root, root / "spare", seconds=0.2)


def fail() -> None:
    raise KeyError("sha256")


def swallow() -> None:
    """As code does that takes any error for its own."""
    try:
        time.sleep(5)
    except Exception:
        time.sleep(5)


FAULTS: list[tuple[Callable[[Path], Any], str]] = [
    (lambda _: fail(), "KeyError"),
    (lambda _: swallow(), "no end within"),
    (lambda beside: (beside / "new").write_text(""), "outside: open"),
    (lambda beside: (beside / "old").rename(beside / "x"), "outside: os.rename"),
    (lambda beside: (beside / "old").unlink(), "outside: os.remove"),
    (lambda beside: os.mkdir(beside / "folder"), "outside: os.mkdir"),
    (lambda beside: os.symlink("x", beside / "link"), "outside: os.symlink"),
    (lambda _: os.system("true"), "outside: os.system"),
]


@pytest.mark.parametrize(("call", "fault"), FAULTS)
def test_a_fault_is_one(
    watch: Watch, tmp_path: Path, call: Callable[[Path], Any], fault: str
) -> None:
    (tmp_path / "old").touch()
    outcome = watch.call(lambda: call(tmp_path))
    assert outcome.faults and all(found.startswith(fault) for found in outcome.faults)


def test_what_is_allowed_is_none(watch: Watch) -> None:
    def work() -> int:
        (watch.root / "file").write_text("x")
        return len((watch.root / "file").read_text())

    outcome = watch.call(work)
    assert (outcome.value, outcome.faults, outcome.error) == (1, [], None)
    assert watch.opened == {watch.root / "file"}

    def refuse() -> None:
        raise RunError("file: damaged; delete it")

    outcome = watch.call(refuse)
    assert (outcome.error, outcome.faults) == ("file: damaged; delete it", [])


def test_what_a_child_changes_is_seen_in_the_tree(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    before = snapshot(tmp_path)
    assert snapshot(tmp_path) == before
    subprocess.run(["truncate", "--size", "0", tmp_path / "precious"], check=True)
    assert snapshot(tmp_path) != before


@pytest.mark.parametrize(
    "text", ["a\nb", "\x1b[2J", "x" * 5000, "<BytesIO object at 0x7f1a50c718f0>"]
)
def test_what_no_line_for_people_is(text: str) -> None:
    assert wrong_text(text, shown=True)
    assert not wrong_text("runs/x/train.json: damaged; delete it and run again", shown=True)


def test_what_is_no_number() -> None:
    assert wrong_number({"a": [1.0, (float("nan"),)]}) and wrong_number(float("inf"))
    assert not wrong_number({"a": [1.0, None, "nan"]})
    assert NO_NUMBER.search("mIoU | nan |") and NO_NUMBER.search("-inf %")
    assert not NO_NUMBER.search("inference of nanoGPT in info/nan")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[tuple[Path, bytes]]]:
    contents = {
        "a.json": b'{"a": [1, 2.5, "x"], "b": {"c": null}}',
        "a.jsonl": b'{"iteration": 1}\n{"iteration": 2}\n',
        "a.yaml": b"a: [1, 2]\nb: {c: d}\n",
        "a.txt": b"train/a.png trainannot/a.png\n",
        "a.png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    }
    yield [(tmp_path / name, content) for name, content in contents.items()]


def test_equal_seeds_change_files_in_equal_ways(files: list[tuple[Path, bytes]]) -> None:
    def changed(seed: int) -> list[object]:
        found: list[object] = []
        for path, content in files:
            for number in range(20):
                path.write_bytes(content)
                how = mutate(path, random.Random(f"{seed}-{number}"))
                plain = path.is_file() and not path.is_symlink() and path.stat().st_size < 2**20
                found.append((how, path.read_bytes() if plain else None))
                path.unlink() if not path.is_dir() or path.is_symlink() else None
                if path.is_dir():
                    (path / "x").unlink()
                    path.rmdir()
        return found

    first = changed(1)
    assert first == changed(1) != changed(2)
    assert sum(found[1] in dict(files).values() for found in first) < len(first) / 5  # type: ignore[index]


def test_every_exception_is_still_there() -> None:
    """Of a door that no stranger's file comes through."""
    known = doors()
    modules = {door.split(":")[0] for door in known}
    assert not NOT_FOR_STRANGERS.keys() - known - modules
