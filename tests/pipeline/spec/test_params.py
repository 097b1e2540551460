"""The shipped params/: every file fits its schema, and what does not is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmnet.errors import DMNetError
from pipeline.experiments import build_experiment
from pipeline.spec.params import Params

PARAMS = Path(__file__).resolve().parents[3] / "params"

FLIP, TRUE = (f'{{value: {value}, stated: "section 5"}}' for value in ("false", "true"))


def names(kind):
    return sorted(path.stem for path in (PARAMS / kind).glob("*.yaml"))


@pytest.mark.parametrize("name", names("tables"))
def test_every_table_parses(name):
    assert Params(PARAMS).table(name).cells()


@pytest.mark.parametrize("name", names("presets"))
def test_every_preset_parses(name):
    Params(PARAMS).preset(name)


@pytest.mark.parametrize("name", names("models"))
def test_every_model_parses(name):
    settings = Params(PARAMS).model(name, "the test")
    assert {"backbone.name", "head.name"} <= settings.keys()
    assert all(setting.source.strip() for setting in settings.values())


@pytest.mark.parametrize("name", names("recipes"))
def test_every_recipe_parses(name):
    assert all(path.startswith("recipe.") for path in Params(PARAMS).recipe(name, "the test"))


@pytest.mark.parametrize("name", names("datasets"))
def test_every_dataset_parses(name):
    dataset = Params(PARAMS).dataset(name, "the test")
    assert {"train", "val"} <= set(dataset.splits) or set(dataset.splits) == {"test"}


@pytest.mark.parametrize("name", names("inference"))
def test_every_inference_protocol_parses(name):
    settings = Params(PARAMS).inference(name, "the test")
    assert {"inference.mode", "inference.flip", "inference.scales"} <= settings.keys()
    assert all(setting.source.strip() for setting in settings.values())


@pytest.mark.parametrize("table", ["table6", "table7", "table8", "table9"])
def test_flips_are_the_papers_and_which_scales_is_assumed(table):
    """Section 4.1: images are flipped, resized to multiple scales, and predictions averaged."""
    cell = build_experiment("paper", tables=[table]).cells[-1]
    names = ("flip", "scales", "average", "mode", "fit_size", "conventions")
    origins = {name: cell.settings[f"inference.{name}"].origin for name in names}
    assert origins == {**dict.fromkeys(names, "assumed"), "flip": "stated"}


def test_voc_counts_are_the_publishers():
    counts = Params(PARAMS).dataset("voc2012aug", "the test").counts
    assert counts == {"train": 1464, "val": 1449, "trainval": 2913, "trainaug": 10582}


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (
            "tables/toy.yaml",
            "Kind: second\n    A:",
            "Kind: second\n    C:",
            ["second", "'C'", "Kind, A"],
        ),
        ("tables/toy.yaml", "cell: deep", "cell: wide", ["'wide'", "twice"]),
        ("tables/toy.yaml", "published: 70.0", "publisht: 70.0", ["unknown key", "publisht`"]),
        ("tables/toy.yaml", "published: 70.0", "published: .inf", ["published`", "finite"]),
        ("tables/toy.yaml", "cell: wide", "cell: Wide one", ["Wide one", "pattern"]),
        (
            "tables/toy.yaml",
            "columns:",
            "submission: {cell: other, dataset: photos, member: a/b}\ncolumns:",
            ["`submission.cell` 'other' is no cell of this table"],
        ),
        ("presets/full.yaml", "judged: true\n", "", ["`judged`", "missing"]),
        ("presets/full.yaml", "log_every: 1", "log_every: 0", ["log_every", "0"]),
        ("datasets/photos.yaml", "splits: {train: train, val: val}", "splits: {}", ["splits"]),
        ("datasets/photos.yaml", "classes: [nothing, thing]", "classes: [one]", ["classes"]),
        ("inference/plain.yaml", "value: whole", "value: half", ["`mode`", "'half'"]),
        ("inference/plain.yaml", FLIP, "false", ["`inference.flip` = False has no origin"]),
        (
            "inference/plain.yaml",
            f"  flip: {FLIP}\n",
            "",
            ["no origin for `inference.flip` (false)"],
        ),
        (
            "inference/plain.yaml",
            FLIP,
            TRUE,
            ["no origin for `inference.average`"],
        ),  # two views, so a mean
        ("inference/plain.yaml", "title: Plain", "title: A\nextends: plain", ["extends itself"]),
        ("models/deeper.yaml", "extends: net", "extends: deeper", ["extends itself"]),
        ("models/deeper.yaml", "extends: net", "extends: nett", ["'nett'", "deeper, net"]),
        ("models/net.yaml", "backbone:", "backbon:", ["unknown key `backbon`"]),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_key(build, edit, folder, file, old, new, words):
    edit(file, old, new)
    with pytest.raises(DMNetError) as caught:
        build()
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder / file) in message
    for word in words:
        assert word in message
