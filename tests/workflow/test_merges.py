"""Two clones that worked on the same run: git merges their entries, and both have everything."""

from __future__ import annotations

import pytest

from tests.workflow.conftest import Clone

PROTOCOL = """\
title: The runs of the tests by another protocol
source: nobody
columns: [Kind, Value]
defaults: {{dataset: voc2012aug, recipe: paper-voc, inference: {inference}}}
rows:
  - {{Kind: Context-aware, Value: {{cell: ours, model: dmnet, published: 78.21}}}}
"""


def dvc(clone, *arguments):
    result = clone.python("-m", "dvc", *arguments)
    assert result.code == 0, result.text


def share(clone, *paths):
    clone.git("add", *paths)
    clone.git("commit", "-q", "-m", "results")
    dvc(clone, "push")


def pull(clone):
    result = clone.call("python", "-m", "pipeline", "pull")
    assert result.code == 0, result.text


def merge(first, second):
    """Without a conflict; afterwards both are at the same commit and have everything."""
    first.git("pull", "-q", "--no-rebase", "--no-edit", str(second.path), "HEAD")
    second.git("pull", "-q", "--ff-only", str(first.path), "HEAD")
    for clone in (first, second):
        pull(clone)
        assert clone.git("status", "--porcelain") == ""


@pytest.fixture(scope="module")
def pair(small, tmp_path_factory):
    """Two clones of one project that have the same three runs; read only: copy before a change."""
    folder = tmp_path_factory.mktemp("pair")
    first = small.copy(folder / "first")
    for name in ("flip", "ms-flip"):
        text = PROTOCOL.format(inference=name)
        first.write(f"params/tables/{name.replace('-', '')}.yaml", text)
    dvc(first, "remote", "add", "--default", "store", str(folder / "store"))
    share(first, "runs", ".dvc/config", "params")
    first.git("clone", "-q", str(first.path), str(folder / "second"))
    second = Clone(folder / "second")
    pull(second)
    return first, second


def test_evaluations_and_predictions_of_one_run_by_different_protocols_merge(pair, tmp_path):
    first, second = (clone.copy(tmp_path / clone.path.name) for clone in pair)
    for clone, table in ((first, "flip"), (second, "msflip")):
        made = clone.snakemake(f"reports/{table}.md")
        assert made.code == 0 and "train" not in made.jobs, made.text
        (run,) = clone.json(f"reports/{table}.json")["rows"][0]["Value"]["runs"]
        predicted = clone.snakemake(f"predictions/{run['run']}/{run['evaluation']}.json")
        assert predicted.code == 0 and predicted.jobs == {"predict": 1}, predicted.text
        share(clone, "runs", "predictions")
    merge(first, second)
    assert len(list(first.path.glob(f"runs/{run['run']}/evaluations/*.json"))) == 3
    for clone in (first, second):
        names = sorted(path.name for path in clone.path.glob("predictions/*/*.json"))
        assert [name.split("-val-")[0] for name in names] == ["flip", "ms-flip"]
        targets = [f"predictions/{run['run']}/{name}" for name in names]
        result = clone.snakemake("reports/flip.md", "reports/msflip.md", *targets)
        assert result.code == 0, result.text
        assert not {"train", "evaluate", "predict"} & result.jobs.keys(), result.text
    for table in ("flip", "msflip"):
        assert first.read(f"reports/{table}.json") == second.read(f"reports/{table}.json")


def test_the_same_evaluation_made_in_both_is_one_entry(pair, tmp_path):
    first, second = (clone.copy(tmp_path / clone.path.name) for clone in pair)
    for clone in (first, second):
        assert clone.snakemake("reports/flip.md").code == 0
        clone.write(f"{clone.path.name}.txt", "so that it is a merge\n")
        share(clone, "runs", f"{clone.path.name}.txt")
    merge(first, second)


def test_pulling_or_checking_out_removes_no_result_that_has_no_entry_yet(pair, tmp_path):
    clone = pair[0].copy(tmp_path / "clone")
    made = clone.snakemake("reports/flip.md")
    assert made.code == 0, made.text
    entries = [path for path in clone.path.glob("runs/*.flip-val-*.dvc")]
    assert len(entries) == 1
    entries[0].unlink()
    for command in ("checkout", "pull"):
        dvc(clone, command)
    assert len(list(clone.path.glob("runs/*/evaluations/flip-val-*.json"))) == 1
