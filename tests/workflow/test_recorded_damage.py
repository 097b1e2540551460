"""Damage never becomes the truth, and one bad run keeps no other from being recorded."""

from __future__ import annotations

import pytest


@pytest.fixture
def clone(small, tmp_path):
    """All runs in DVC's remote and in git; `key` is the first one's."""
    clone = small.copy(tmp_path / "clone")
    store = str(tmp_path / "store")
    assert clone.python("-m", "dvc", "remote", "add", "-d", "store", store).code == 0
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "runs")
    pushed = clone.python("-m", "pipeline", "push")
    assert pushed.code == 0 and "the remote has all that 6 entries name" in pushed.text
    clone.key = sorted(clone.weights())[0]
    return clone


@pytest.mark.parametrize("name", ["weights.pt", "evaluations/*.json"])
def test_a_damaged_file_is_named_its_entry_stays_and_the_good_copy_comes_back(clone, name):
    (path,) = clone.path.glob(f"runs/{clone.key}/{name}")
    good = path.read_bytes()
    clone.flip_a_byte(path)
    told = clone.pipeline("record")
    assert told.code == 1 and "Traceback" not in told.text
    file = path.relative_to(clone.path).as_posix()
    assert f"{file}: expected" in told.text and "nothing of it was recorded" in told.text
    assert clone.git("status", "--porcelain", "--", "runs") == "", "no entry changed"
    verified = clone.python("-m", "pipeline", "verify", "--quick")
    assert verified.code == 1, verified.text
    lines = [line for line in verified.text.splitlines() if line.startswith("does not fit: runs/")]
    assert lines and all("--repair" in line and "delete" not in line for line in lines), lines
    clone.forget(".dvc/cache")
    repaired = clone.python("-m", "pipeline", "verify", "--quick", "--repair")
    assert repaired.code == 0, repaired.text
    assert f"{file}: the recorded copy is back" in repaired.text
    assert path.read_bytes() == good


@pytest.mark.parametrize("name", ["train.json", "history.jsonl"])
def test_one_cut_file_keeps_no_other_run_from_being_recorded(clone, name):
    for entry in clone.path.glob("runs/*.dvc"):
        entry.unlink()
    (clone.path / "mlflow.db").unlink()
    path = clone.path / "runs" / clone.key / name
    path.write_bytes(path.read_bytes()[:-40])
    told = clone.pipeline("record")
    assert told.code == 1 and "Traceback" not in told.text, told.text
    assert f"runs/{clone.key} is damaged and nothing of it was recorded" in told.text
    assert "MLflow: 2 of 3 finished runs are recorded, 2 newly" in told.text
    recorded = {path.name.split(".")[0] for path in clone.path.glob("runs/????????????????.dvc")}
    assert len(recorded) == 2 and clone.key not in recorded


def test_a_run_trained_again_is_never_put_in_the_place_of_the_recorded_one_unasked(clone):
    """Whole by its own manifest, so no damage: `verify --repair` leaves it."""
    run = clone.path / "runs" / clone.key
    text = clone.read(f"runs/{clone.key}/train.json")
    manifest = text.replace('"code": {', '"code": {\n    "note": 1,', 1)
    assert manifest != text
    for name in ("train.json", "finished.json"):
        (run / name).write_text(manifest)
    told = clone.pipeline("record")
    assert told.code == 1
    assert f"runs/{clone.key}: not what runs/{clone.key}.dvc recorded" in told.text
    assert clone.git("status", "--porcelain", "--", "runs") == ""
    repaired = clone.python("-m", "pipeline", "verify", "--quick", "--repair")
    assert "names another training than lies here" in repaired.text
    assert clone.read(f"runs/{clone.key}/train.json") == manifest
    run.with_suffix(".dvc").unlink()
    assert clone.pipeline("record").code == 0
    assert clone.git("status", "--porcelain", "--", "runs") == f" M runs/{clone.key}.dvc\n"


def test_weights_recorded_when_they_were_damaged_already_are_not_brought_back(clone):
    """As earlier versions did: entry and cache agree with the damage, train.json does not."""
    path = clone.path / "runs" / clone.key / "weights.pt"
    clone.flip_a_byte(path)
    entry = f"runs/{clone.key}.dvc"
    assert clone.python("-m", "dvc", "commit", "--force", entry).code == 0
    path.write_bytes(path.read_bytes() + b"0")
    repaired = clone.python("-m", "pipeline", "verify", "--quick", "--repair")
    assert repaired.code == 1
    assert f"`git log -p -- {entry}` shows earlier entries" in repaired.text


def test_verify_outlives_every_entry(clone):
    """Deep YAML ended it by a segmentation fault."""
    entry = clone.path / "runs" / "00000000000000aa.dvc"
    entry.write_text("outs: " + "{a: " * 15_000)
    result = clone.python("-m", "pipeline", "verify", "--quick")
    assert result.code == 1, result.text
    assert "runs/00000000000000aa.dvc: expected a DVC entry" in result.text
