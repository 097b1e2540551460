"""Resume states: two are kept, each is verified, a foreign or damaged one is never used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dmnet.errors import RunError
from dmnet.files import sha256_file
from dmnet.training import resume
from dmnet.training.resume import ResumeStates

IDENTITY = {"key": "0123", "data_fingerprint": "abcd", "start_weights": None}


def state(iteration: int) -> dict[str, Any]:
    return {"iteration": iteration, "model": {"w": torch.full((100,), float(iteration))}}


@pytest.fixture
def states(tmp_path: Path) -> ResumeStates:
    states = ResumeStates(tmp_path / "resume", IDENTITY)
    for iteration in (10, 20, 30):
        states.save(state(iteration), iteration)
    return states


def loaded(states: ResumeStates) -> int | None:
    """The iteration of the state that is used, after checking its content."""
    found = states.load()
    if found is None:
        return None
    assert torch.equal(found["model"]["w"], state(found["iteration"])["model"]["w"])
    return int(found["iteration"])


def file(states: ResumeStates, iteration: int) -> Path:
    return states.folder / f"state-{iteration:08d}.pt"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


DAMAGES = [truncate, flip_a_bit, empty, remove]
Damage = Callable[[Path], None]


def test_without_a_state_there_is_none(tmp_path: Path) -> None:
    assert ResumeStates(tmp_path / "resume", IDENTITY).load() is None


def test_the_newest_is_used_and_two_are_kept(states: ResumeStates) -> None:
    assert loaded(states) == 30
    names = {path.name for path in states.folder.iterdir()}
    assert names == {"states.json", file(states, 20).name, file(states, 30).name}


@pytest.mark.parametrize("damage", DAMAGES)
def test_if_the_newest_is_damaged_the_older_is_used(states: ResumeStates, damage: Damage) -> None:
    damage(file(states, 30))
    assert loaded(states) == 20


def test_a_state_with_weights_that_are_not_finite_is_passed_over(states: ResumeStates) -> None:
    """Earlier versions could save one."""
    broken = state(40)
    broken["model"]["w"][7] = float("nan")
    states.save(broken, 40)
    assert loaded(states) == 30


@pytest.mark.parametrize("damage", DAMAGES)
def test_if_both_are_damaged_the_run_starts_from_zero(states: ResumeStates, damage: Damage) -> None:
    damage(file(states, 20))
    damage(file(states, 30))
    assert loaded(states) is None


@pytest.mark.parametrize("part", IDENTITY)
def test_a_state_of_another_identity_is_never_used(states: ResumeStates, part: str) -> None:
    other = ResumeStates(states.folder, {**IDENTITY, part: "another"})
    assert other.load() is None
    other.save(state(5), 5)
    assert loaded(other) == 5
    assert states.load() is None
    assert [path.name for path in states.folder.glob("state-*")] == [file(states, 5).name]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"identity": 1}'])
def test_a_damaged_index_starts_from_zero_and_is_replaced(
    states: ResumeStates, content: str
) -> None:
    states.index.write_text(content)
    assert states.load() is None
    states.save(state(40), 40)
    assert loaded(states) == 40


@pytest.mark.parametrize("entries", [None, [1], [{}], [{"file": "state-00000030.pt"}]])
def test_an_index_with_damaged_entries_starts_from_zero(states: ResumeStates, entries: Any) -> None:
    states.index.write_text(json.dumps({"identity": IDENTITY, "states": entries}))
    assert states.load() is None


def test_an_unchanged_index_lists_names_and_hashes_only(states: ResumeStates) -> None:
    index = json.loads(states.index.read_text())
    assert index["identity"] == IDENTITY
    assert [entry["iteration"] for entry in index["states"]] == [20, 30]
    assert all(len(entry["sha256"]) == 64 for entry in index["states"])


@pytest.mark.parametrize("torn", ["write_bytes", "write_json"])
def test_a_kill_while_saving_leaves_the_states_before_it(
    states: ResumeStates, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    """Killed before the state's file, or between the file and the index, has its name."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(resume, torn, killed)
        with pytest.raises(KeyboardInterrupt):
            states.save(state(40), 40)
    assert loaded(states) == 30
    states.save(state(40), 40)
    assert loaded(states) == 40
    assert len(list(states.folder.glob("state-*"))) == 2


def test_saving_one_iteration_again_replaces_it(states: ResumeStates) -> None:
    states.save(state(30), 30)
    assert [e["iteration"] for e in json.loads(states.index.read_text())["states"]] == [20, 30]


def test_a_folder_that_cannot_be_written_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        ResumeStates(tmp_path / "file" / "resume", IDENTITY).save(state(1), 1)


@pytest.mark.parametrize(
    "content",
    [
        *([1], {"iteration": "x"}, {"iteration": -1}, {"iteration": 1, "model": [1]}),
        *({"iteration": 1, "seconds": float("nan")}, {"iteration": 1, "attempts": []}),
    ],
)
def test_what_is_no_state_is_not_used_though_its_hash_fits(
    states: ResumeStates, content: Any
) -> None:
    torch.save(content, file(states, 30))
    index = json.loads(states.index.read_text())
    index["states"][-1]["sha256"] = sha256_file(file(states, 30))
    states.index.write_text(json.dumps(index))
    assert loaded(states) == 20


def test_an_index_cannot_name_files_elsewhere(states: ResumeStates, tmp_path: Path) -> None:
    file(states, 30).rename(tmp_path / "state.pt")
    text = states.index.read_text().replace("state-00000030.pt", "../state.pt")
    states.index.write_text(text)
    assert states.load() is None
