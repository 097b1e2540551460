"""`python -m pipeline gc`: what no table needs is listed; it goes only when that is asked for."""

from __future__ import annotations

import fcntl
import re

import pytest


@pytest.fixture
def clone(small, tmp_path):
    """A clone whose table lost its last row, so that one run serves none."""
    clone = small.copy(tmp_path / "clone")
    text = clone.read("params/tables/three.yaml")
    clone.write("params/tables/three.yaml", text.split("  - {Kind: None")[0])
    (clone.unneeded,) = {
        run["run"]
        for row in clone.json("reports/three.json")["rows"]
        for run in row["Value"]["runs"]
        if row["Value"]["cell"] == "three/fcn"
    }
    for table in ("table1", "table2"):  # they need the same run
        (clone.path / "params" / "tables" / f"{table}.yaml").unlink()
    (clone.path / "params" / "claims.yaml").write_text("{}\n")
    for figure in (clone.path / "params" / "figures").glob("*.yaml"):
        figure.unlink()
    return clone


def gc(clone, *arguments):
    return clone.python("-m", "pipeline", "gc", *arguments)


def test_it_lists_with_sizes_and_deletes_nothing_unasked(clone):
    result = gc(clone)
    assert result.code == 0, result.text
    entries = rf"runs/{clone.unneeded}\.dvc, runs/{clone.unneeded}\.single-scale-val-\w+\.dvc"
    assert re.search(rf"runs/{clone.unneeded} \(and {entries}, logs/runs/", result.text)
    assert "1 results, " in result.text and "MiB" in result.text
    assert "nothing is deleted without --delete; the DVC remote keeps" in result.text
    assert len(clone.runs()) == 3


def test_it_deletes_the_run_with_its_entry_and_logs_and_nothing_else(clone):
    result = gc(clone, "--delete")
    assert result.code == 0, result.text
    assert len(clone.runs()) == 2
    left = [path for path in clone.path.rglob(f"*{clone.unneeded}*") if ".git" not in path.parts]
    assert [path for path in left if ".snakemake" not in path.parts] == []
    assert "0 results" in gc(clone).text
    assert "Nothing to be done" not in clone.snakemake("reports/three.md").text  # one row less
    assert len(clone.runs()) == 2


def test_a_run_that_is_training_is_never_listed(clone):
    lock = clone.path / "runs" / ".locks" / f"{clone.unneeded}.lock"
    with lock.open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert "0 results" in gc(clone, "--delete").text
    assert len(clone.runs()) == 3


def test_runs_of_other_presets_and_seeds_are_needed_unless_only_one_preset_counts(clone):
    everything = gc(clone, "--preset", "mini").text
    assert "3 results" in everything and "presets mini, 1 seed(s)" in everything


def test_params_that_cannot_be_read_stop_it(clone):
    clone.write("params/presets/tiny.yaml", "title: half a pre")
    result = gc(clone, "--delete")
    assert result.code == 1
    assert "params/presets/tiny.yaml" in result.text
    assert len(clone.runs()) == 3
