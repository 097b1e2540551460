"""`--config source=released`: a published checkpoint in the place of a training.

The checkpoint is one of our own runs, exported to the zoo's layout and named by its hash as the
zoo does; so what it must measure is known.
"""

from __future__ import annotations

import shutil

import pytest
import yaml
from mlflow import MlflowClient

from dmnet.files import sha256_file
from tests.workflow.conftest import Clone

TABLE = """\
title: A zoo's table
source: nobody
columns: [Method, mIoU]
defaults: {dataset: voc2012aug, recipe: paper-voc, inference: single-scale}
rows:
  - Method: "[DMNet](https://example.org/a.pth)"
    defaults: {model: narrow, checkpoint: narrow_dmnet}
    mIoU: {cell: ours, published: 50.0}
  - Method: never released
    mIoU: {cell: other, model: fcn, published: 40.0}
"""


@pytest.fixture(scope="module")
def zoo(small, tmp_path_factory):
    """A clone whose table `zoo` has one row with a checkpoint, in the folder `clone.mirror`."""
    clone = small.copy(tmp_path_factory.mktemp("zoo") / "clone")
    model = yaml.safe_load(clone.read("params/models/dmnet.yaml"))
    model["backbone"]["width"]["value"] = 4
    model["backbone"]["weights"]["value"] = None
    model["head"]["channels"]["value"] = 8
    clone.write("params/models/narrow.yaml", yaml.safe_dump(model))
    clone.write("params/tables/zoo.yaml", TABLE)
    key = clone.json("reports/three.json")["rows"][0]["Value"]["runs"][0]["run"]
    clone.mirror = clone.path.parent / "mirror"
    clone.mirror.mkdir()
    exported = clone.mirror / "exported.pth"
    result = clone.python(
        *("-m", "dmnet", "export", "--run", f"runs/{key}", "--zoo", "mmsegmentation"),
        *("--output", str(exported)),
    )
    assert result.code == 0, result.text
    clone.prefix = sha256_file(exported)[:8]
    clone.file = f"narrow-dmnet-{clone.prefix}.pth"
    exported.rename(clone.mirror / clone.file)
    file = {"file": clone.file, "sha256_prefix": clone.prefix, "source": "the tests"}
    file["urls"] = [f"https://example.org/{clone.file}"]
    checkpoints = {"narrow_dmnet": {"zoo": "mmsegmentation", "files": [file]}}
    clone.write("params/checkpoints.yaml", yaml.safe_dump(checkpoints))
    clone.trained = clone.json("reports/three.json")["rows"][0]["Value"]["ours"]
    return clone


def make(clone, source, *arguments):
    config = ("--config", "preset=tiny", f"source={source}", f"mirror={clone.mirror}")
    return clone.snakemake("reports/zoo.md", *arguments, *config)


def cells(clone):
    return [row["mIoU"] for row in clone.json("reports/zoo.json")["rows"]]


def test_the_checkpoint_measures_what_its_run_did_and_nothing_is_trained(zoo, tmp_path):
    clone = zoo.copy(tmp_path / "clone")
    clone.mirror = zoo.mirror
    result = make(clone, "released")
    assert result.code == 0, result.text
    assert "train" not in result.jobs
    ours, other = cells(clone)
    assert (ours["source"], other["source"]) == ("released", "cited")
    assert ours["released"]["value"] == ours["ours"] == zoo.trained
    assert ours["released"]["verified"] is True
    text = clone.read("reports/zoo.md")
    assert f"released: `{zoo.file}`" in text
    assert "Nothing to be done" in make(clone, "released").text
    shown = clone.pipeline("show", "zoo/ours", "--source", "released")
    assert "SHA-256 as published" in shown.text
    assert "imported by" in shown.text and "made by" in shown.text
    assert "not recorded" not in shown.text
    client = MlflowClient(tracking_uri=f"sqlite:///{clone.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dmnet")
    runs = [run.data for run in client.search_runs([experiment.experiment_id])]
    (run,) = [run for run in runs if run.tags["dmnet.source"] == "released"]
    assert run.tags["dmnet.checkpoint"] == zoo.file
    assert run.tags["dmnet.weights_sha256"] == ours["released"]["weights_sha256"]
    assert run.metrics["cell/zoo/ours/ours"] == zoo.trained
    assert run.metrics["cell/zoo/ours/published"] == 50.0


def test_two_clones_that_imported_it_merge_and_a_third_evaluates_nothing(zoo, tmp_path):
    """The two are at different commits, so that what tells where it was imported differs."""
    first = zoo.copy(tmp_path / "first")
    remote = ("remote", "add", "--default", "store", str(tmp_path / "store"))
    assert first.python("-m", "dvc", *remote).code == 0
    first.git("add", "runs", "params", ".dvc/config")
    first.git("commit", "-q", "-m", "a zoo")
    assert first.python("-m", "dvc", "push").code == 0
    second, third = (Clone(tmp_path / name) for name in ("second", "third"))
    first.git("clone", "-q", str(first.path), str(second.path))
    for clone in (first, second):
        clone.mirror = zoo.mirror
        clone.write(f"{clone.path.name}.txt", "so that it is a merge\n")
        clone.git("add", ".")
        clone.git("commit", "-q", "-m", "another commit")
        made = make(clone, "released")
        assert made.code == 0, made.text
        clone.git("add", "released")
        clone.git("commit", "-q", "-m", "released")
        assert clone.python("-m", "dvc", "push").code == 0
    (imported,) = first.path.glob("released/*/imported.json")
    name = imported.relative_to(first.path)
    assert first.json(name)["code"]["commit"] != second.json(name)["code"]["commit"]
    first.git("pull", "-q", "--no-rebase", "--no-edit", str(second.path), "HEAD")
    first.git("clone", "-q", str(first.path), str(third.path))
    third.mirror = tmp_path / "nowhere"
    pulled = third.call("python", "-m", "pipeline", "pull")
    assert pulled.code == 0, pulled.text
    made = make(third, "released")
    assert made.code == 0, made.text
    assert made.jobs == {"report": 1}, made.text
    assert third.read("reports/zoo.json") == first.read("reports/zoo.json")


def test_released_and_retrained_stand_side_by_side(zoo, tmp_path):
    clone = zoo.copy(tmp_path / "clone")
    clone.mirror = zoo.mirror
    result = make(clone, "both")
    assert result.code == 0, result.text
    ours, other = cells(clone)
    assert ours["ours"] == ours["released"]["value"] == zoo.trained  # the very same run
    assert (other["source"], other["released"]) == ("trained", None)
    assert "| released" in clone.read("reports/zoo.md")


def test_another_file_under_the_name_is_refused_and_nothing_is_left_of_it(zoo, tmp_path):
    clone = zoo.copy(tmp_path / "clone")
    clone.mirror = tmp_path / "mirror"
    shutil.copytree(zoo.mirror, clone.mirror)
    clone.flip_a_byte(clone.mirror / zoo.file)
    result = make(clone, "released")
    assert result.code != 0
    assert zoo.file in result.text and zoo.prefix in result.text
    assert not list(clone.path.glob("released/*/train.json"))
    assert not (clone.path / "weights" / zoo.file).exists()


def test_a_preset_with_other_classes_says_so(zoo, tmp_path):
    clone = zoo.copy(tmp_path / "clone")
    result = clone.pipeline("plan", "zoo", "--source", "released", preset="small")
    assert result.code == 1
    assert "narrow_dmnet knows the 21 classes of voc2012aug" in result.text


def test_an_unknown_source_lists_those_there_are(zoo):
    result = zoo.pipeline("plan", "zoo", "--source", "borrowed")
    assert result.code == 1
    assert "expected one of trained, released, both" in result.text
