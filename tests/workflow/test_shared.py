"""Two people, two clones, one remote: what one trained or measured, the other has."""

from __future__ import annotations

import os

import pytest

from tests.workflow.conftest import Clone

OTHER = """\
title: A table of the other clone
source: nobody
columns: [Kind, Value]
defaults: {dataset: voc2012aug, recipe: paper-voc, inference: single-scale}
rows:
  - Kind: Depthwise
    Value: {cell: depthwise, model: dilated, with: {head.dilations: [1, 3, 5, 7]}}
"""


MEASURED = """\
title: A table with what depends on the machine
source: nobody
columns: [Kind, Value, Speed, Count]
defaults: {dataset: voc2012aug, recipe: paper-voc, inference: single-scale}
rows:
  - Kind: Context-aware
    Value: {cell: ours, model: dmnet, published: 78.21}
    Speed: {cell: fps, model: dmnet, recipe: measured, speed: {measure: frames_per_second}}
    Count: {cell: count, model: dmnet, profile: {measure: macs, per: 1000000, input_size: [32, 32]}}
"""
RECIPE = """\
title: The paper's, on one device
extends: paper-voc
settings: {devices: {value: 1, assumed: "a test has no other"}}
"""


def commit(clone, *paths):
    clone.git("add", *paths)
    clone.git("commit", "-q", "-m", "runs")


def dvc(clone, *arguments):
    result = clone.python("-m", "dvc", *arguments)
    assert result.code == 0, result.text


@pytest.fixture
def shared(small, tmp_path):
    """`first` made table `three` and pushed it; `second` is a fresh clone of its repository."""
    first = small.copy(tmp_path / "first")
    dvc(first, "remote", "add", "--default", "store", str(tmp_path / "store"))
    (first.path / "params" / "tables" / "other.yaml").write_text(OTHER)
    commit(first, "runs", ".dvc/config", "params")
    dvc(first, "push")
    first.git("clone", "-q", str(first.path), str(tmp_path / "second"))
    return first, Clone(tmp_path / "second")


def nothing_was_made(result):
    assert result.code == 0, result.text
    assert not {"train", "evaluate", "prepare"} & result.jobs.keys(), result.text


def test_results_without_weights_give_identical_reports_and_train_nothing(shared):
    first, second = shared
    result = second.call("python", "-m", "pipeline", "pull", "--results")
    assert result.code == 0, result.text
    assert not list(second.path.glob("runs/*/weights.pt"))
    nothing_was_made(second.snakemake("reports/three.md"))
    for name in ("three.md", "three.json"):
        assert second.read(f"reports/{name}") == first.read(f"reports/{name}")
    assert second.git("status", "--porcelain", "runs") == "", "the entries still name the weights"
    verified = second.call("python", "-m", "pipeline", "verify")
    assert verified.code == 0, verified.text
    assert "weights.pt: not here; `python -m pipeline check && dvc pull runs/" in verified.text


def test_data_prepared_later_train_no_run_again_whose_weights_are_elsewhere(shared):
    first, second = shared
    second.call("python", "-m", "pipeline", "pull", "--results")
    result = second.snakemake("reports/three.md", "reports/other.md")
    assert result.code == 0, result.text
    assert len(list(second.path.glob("runs/*/weights.pt"))) == 1, "only the new run was trained"
    assert second.read("reports/three.json") == first.read("reports/three.json")
    assert second.call("python", "-m", "pipeline", "pull").code == 0
    assert second.weights().items() >= first.weights().items()
    assert len(list(second.path.glob("runs/*/weights.pt"))) == 4


def test_whatever_times_the_files_have_nothing_is_made_again(shared):
    _, second = shared
    assert second.call("python", "-m", "pipeline", "pull").code == 0
    for path in second.path.glob("runs/*/evaluations/*.json"):  # as `dvc pull` may leave them
        os.utime(path, (1, 1))
    assert second.call("python", "-m", "pipeline", "pull").code == 0
    nothing_was_made(second.snakemake("reports/three.md"))


def test_two_clones_that_trained_different_tables_merge_and_train_nothing(shared):
    first, second = shared
    made = second.snakemake("reports/other.md")
    assert made.code == 0, made.text
    assert made.jobs["train"] == 1
    commit(second, "runs")
    dvc(second, "push")
    first.write(
        "params/tables/one.yaml", first.read("params/tables/one.yaml") + "notes: [A note.]\n"
    )
    commit(first, "params")  # so that it is a merge
    first.git("pull", "-q", "--no-rebase", "--no-edit", str(second.path), "HEAD")
    second.git("pull", "-q", "--no-rebase", "--no-edit", str(first.path), "HEAD")
    for clone in (first, second):
        assert clone.call("python", "-m", "pipeline", "pull").code == 0
        nothing_was_made(clone.snakemake("reports/three.md", "reports/other.md"))
        assert clone.git("status", "--porcelain", "runs") == ""
    assert first.weights() == second.weights() and len(first.weights()) == 4
    for name in ("three.json", "other.json"):
        assert first.read(f"reports/{name}") == second.read(f"reports/{name}")


def test_speeds_and_counts_are_shared_so_that_their_tables_are_the_same_bytes(small, tmp_path):
    first = small.copy(tmp_path / "first")
    dvc(first, "remote", "add", "--default", "store", str(tmp_path / "store"))
    first.write("params/tables/measured.yaml", MEASURED)
    first.write("params/recipes/measured.yaml", RECIPE)
    made = first.snakemake("reports/measured.md")
    assert made.code == 0, made.text
    assert "Measuring the speed" in made.text and "Counting" in made.text
    commit(first, "runs", "speed", "counts", ".dvc/config", "params")
    assert first.git("ls-files", "speed", "counts").count(".json.dvc") == 2
    dvc(first, "push")
    pulls = {
        "second": ("-m", "dvc", "pull"),
        "third": ("-m", "pipeline", "pull", "--results"),
    }
    for name, pull in pulls.items():
        first.git("clone", "-q", str(first.path), str(tmp_path / name))
        other = Clone(tmp_path / name)
        assert other.python(*pull).code == 0
        result = other.snakemake("reports/measured.md")
        nothing_was_made(result)
        assert "Measuring the speed" not in result.text and "Counting" not in result.text
        for report in ("measured.md", "measured.json"):
            assert other.read(f"reports/{report}") == first.read(f"reports/{report}")
        verified = other.call("python", "-m", "pipeline", "verify")
        assert verified.code == 0, verified.text
