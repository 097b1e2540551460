"""The shipped params/: every file fits its schema, and the published numbers are the paper's."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmnet.errors import DMNetError
from pipeline.specs import Params

PARAMS = Path(__file__).resolve().parents[2] / "params"

# The numbers of the paper, compared with its text one by one; not read from params/tables.
TABLE1 = {
    "Regular conv": [70.76, 71.41, 72.65, 72.37],
    "Depthwise conv": [70.59, 71.12, 72.24, 71.88],
    "Context-aware": [77.75, 78.52, 78.76, 78.21],
}
TABLE2 = {
    "{1,2,3,4}": [73.37, 72.98],
    "{1,3,5,7}": [76.22, 74.29],
    "{2,4,8,12}": [77.18, 77.30],
    "{6,12,18,24}": [76.94, 76.26],
    "{6,12,24,36}": [77.60, 77.34],
    "{12,24,36,48}": [77.17, 77.10],
    "{18,30,42,54}": [76.88, 76.92],
    "-": [78.21],
}


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
    Params(PARAMS).inference(name, "the test")


def published(table):
    """row label -> published values in the order of columns"""
    found = {}
    for row, _, cell in Params(PARAMS).table(table).cells():
        found.setdefault(row, []).append(cell.published)
    return found


def test_published_values_of_table1():
    rows = published("table1")
    assert len(rows) == 3
    for (label, values), (start, expected) in zip(rows.items(), TABLE1.items(), strict=True):
        assert label.startswith(start)
        assert values == expected


def test_published_values_of_table2():
    rows = published("table2")
    for (label, values), (rates, expected) in zip(rows.items(), TABLE2.items(), strict=True):
        assert label.endswith(rates)
        assert values == expected


def test_labels_of_table2_are_the_dilation_rates_that_its_cells_train():
    for row, column, cell in Params(PARAMS).table("table2").cells():
        if "head.dilations" in cell.settings:
            rates = ",".join(map(str, cell.settings["head.dilations"]))
            assert row == f"Dilated {{{rates}}}"
            assert cell.settings["head.depthwise"] is (column == "Depthwise")


def test_labels_of_table1_are_the_kernel_sizes_that_its_cells_train():
    for row, column, cell in Params(PARAMS).table("table1").cells():
        assert column == f"{{{','.join(map(str, cell.settings['head.kernel_sizes']))}}}"
        assert cell.settings.get("head.depthwise") == {"Regular": False, "Depthwise": True}.get(
            row.split()[0]
        )


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
        ("inference/plain.yaml", "mode: whole", "mode: half", ["`mode`", "'half'"]),
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
