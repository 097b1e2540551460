"""What is wrong in `--config` and `params/`, as Snakemake tells it when it parses the workflow: one
line that names the file and the key, and lists what is valid.

That Snakemake prints such an error as one line, tests/workflow/test_errors.py tries.
"""

from __future__ import annotations

import shutil

import pytest
from snakemake.exceptions import WorkflowError

from pipeline.experiments import PARAMS
from pipeline.workflow import Study
from tests.workflow.conftest import TABLE as CELL

TABLE = "params/tables/one.yaml"
TINY = "params/presets/tiny.yaml"
DATASET = "params/datasets/tiny.yaml"
PRESET = """\
title: of the tests
judged: false
shows: Nothing.
datasets: {voc2012aug: tiny}
set:
  recipe.crop_size: [32, 32]
  recipe.lr: 0.05
execution: {workers: 0, checkpoint_every: 2, validate_every: 3, log_every: 1}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A tree with params alone: the table `one` and the preset `tiny` among them."""
    shutil.copytree(PARAMS, tmp_path / "params")
    for table in (tmp_path / "params" / "tables").iterdir():
        table.unlink()
    shutil.rmtree(tmp_path / "params" / "figures")  # of the tables that are gone
    (tmp_path / TABLE).write_text(CELL)
    (tmp_path / TINY).write_text(PRESET)
    shutil.copy(tmp_path / "params/datasets/voc2012-procedural.yaml", tmp_path / DATASET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(**config):
    """What Snakemake would print of this `--config`."""
    with pytest.raises(WorkflowError) as told:
        Study({"preset": "tiny", **config})
    assert "\n" not in str(told.value)
    return str(told.value)


def test_the_tree_is_fine_before_anything_is_wrong_in_it(folder):
    assert list(Study({"preset": "tiny"}).jobs.experiment.cells)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"preset": "nope"}, ["`preset`", "'nope'", "mini", "paper", "small", "tiny"]),
        ({"sedes": "3"}, ["sedes", "preset, seeds, sources"]),
        ({"record": "perhaps"}, ["record=perhaps", "expected yes or no"]),
        ({"seeds": 0}, ["`seeds`", "0", "at least 1"]),
        ({"seeds": "many"}, ["`seeds`", "'many'", "whole number"]),
        ({"seeds": 1.5}, ["`seeds`", "1.5", "whole number"]),
    ],
)
def test_command_line_settings(folder, settings, words):
    told = refusal(**settings)
    assert all(word in told for word in words), told


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (TABLE, "dataset: voc2012aug", "dataset: voc2013", ["'voc2013'", "voc2012aug"]),
        (TABLE, "model: dmnet", "model: dmnot", ["'ours'", "'dmnot'", "dilated", " dmnet"]),
        (TABLE, "recipe: paper-voc", "recipe: fast", ["'fast'", "paper-voc"]),
        (TABLE, "inference: single", "inference: double", ["'double-scale'", "single-scale"]),
        (TABLE, "model: dmnet", "with: {head.size: 1}, model: dmnet", ["'ours'", "`head.size`"]),
        (TABLE, "source: nobody", "sauce: nobody", ["sauce"]),
        (TABLE, "published: 78.21", "publisht: 78.21", ["ublisht`", "unknown key"]),
        (TABLE, "published: 78.21", "published: many", ["published`", "valid number"]),
        (TABLE, "published: 78.21", "published: .nan", ["published`", "finite"]),
        (TABLE, "columns: [Kind, Value]", "columns: [Kind, Number]", ["'Value'", "Kind, Number"]),
        (TABLE, "title: A", "title: twice\ntitle: A", ["line 2", "'title'", "twice"]),
        (TABLE, "rows:", "rows: [", ["not valid YAML", "line"]),
        (TINY, "recipe.lr: 0.05", "recipe.lrr: 0.05", ["`recipe.lrr`", "recipe.lr,"]),
        (TINY, "recipe.lr: 0.05", "recipe.lr: -1", ["lr`", "-1", "greater than 0"]),
        (TINY, "recipe.lr: 0.05", "recipe.lr: fast", ["lr`", "'fast'", "number"]),
        (TINY, "[32, 32]", "[32]", ["crop_size"]),
        (TINY, "checkpoint_every: 2", "checkpoint_every: 0", ["`execution.checkpoint_every`"]),
        (TINY, "judged: false", "judged: perhaps", ["`judged`", "'perhaps'"]),
        (TINY, "voc2012aug: tiny", "voc2012aug: tinny", ["'tinny'", "tiny"]),
        (DATASET, "layout: voc2012aug", "layout: voc", ["`layout`", "'voc'"]),
        (DATASET, "train: trainaug, val: val", "train: trainaug", ["splits", "val"]),
        (DATASET, "title:", "tittle:", ["tittle"]),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("params") else None,
)
def test_wrong_values_in_params_name_file_and_key(folder, file, old, new, words):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    told = refusal()
    assert all(word in told for word in [file, *words]), told


def test_an_unknown_head_lists_the_known_ones(folder):
    model = folder / "params/models/dmnet.yaml"
    model.write_text(model.read_text().replace("value: dmnet", "value: dmnot"))
    told = refusal()
    assert all(word in told for word in [TABLE, "'ours'", "'dmnot'", "'dmnet'", "'fcn'"]), told


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\xff", b"", b"- a list\n", b"a: !!python/name:os.system\n"]
)
def test_a_file_that_is_no_mapping_in_yaml(folder, content):
    (folder / TABLE).write_bytes(content)
    assert TABLE in refusal()


@pytest.mark.parametrize("change", ["missing", "claims: [", "claims: 3\n"])
def test_claims_that_cannot_be_judged_are_told_when_they_are_asked_for(folder, change):
    study = Study({"preset": "tiny"})
    claims = folder / "params" / "claims.yaml"
    claims.unlink() if change == "missing" else claims.write_text(change)
    with pytest.raises(WorkflowError, match=r"^params/claims\.yaml: "):
        study.hashes.summary()
