"""One cell's lineage: every fact comes from the files, what is not there is said to be pending."""

from __future__ import annotations

import json
import re

import pytest

from dmnet.errors import DMNetError
from pipeline.errors import ResultError, SpecError
from pipeline.show import render_show

TRAINED = {
    "seconds": 61.25,
    "stand_in": True,
    "environment": {
        "python": "3.11.9",
        "packages": {"torch": "2.13.0", "numpy": "2.4.0"},
        "device": {"type": "cpu", "name": "a processor"},
    },
}


@pytest.fixture
def show(tmp_path):
    """Runs of spaces count as one: the columns' widths are no subject of these tests."""

    def render(experiment, cell="toy/wide"):
        return re.sub(r" +", " ", render_show(experiment, cell, tmp_path))

    return render


@pytest.fixture
def both(build):
    """Tables `toy` and `twin`, whose cells wide and same-as-wide share one run."""
    return lambda seeds=1, preset="full": build(preset, seeds, ("toy", "twin"))


def test_a_pending_cell_tells_what_is_known(both, show):
    experiment = both()
    key = experiment.cells[0].evaluations[0].run_key
    text = show(experiment)
    assert text.startswith("Cell toy/wide at preset full\n report reports/toy.md\n")
    for line in (
        "table Toy table",
        "row first",
        "column A",
        "published 70.00",
        "published by nobody 2020, Table 9",
        "ours pending (0 of 1 seeds measured)",
        "difference pending",
        f"Seed 0: run {key}",
        "cells toy/wide, twin/same-as-wide",
        "training pending, iteration 0/7",
        "iterations 7 (3 epochs of 10 images in batches of 4)",
        f"configuration runs/{key}/config.json (not here)",
        "starts from random weights",
        "dataset photos (real, the published one), split train",
        "fingerprint pending (data/photos is not prepared or damaged)",
        f"log logs/runs/{key}/train.log (not here)",
        "mIoU pending",
    ):
        assert f"{line}\n" in text, line
    assert "SHA-256" not in text


def test_a_measured_cell_names_everything_below_it(both, show, finish, tmp_path):
    experiment = both()
    evaluation = experiment.cells[0].evaluations[0]
    finish(evaluation, 0.7125, TRAINED)
    folder = f"runs/{evaluation.run_key}"
    (tmp_path / folder / "weights.pt").touch()
    text = show(experiment)
    for line in (
        "ours 71.25 (one seed)",
        "difference +1.25",
        "source of ours trained",
        "training done, iteration 7/7",
        f"weights {folder}/weights.pt",
        f"weights SHA-256 {evaluation.run_key}{'0' * 48}",
        f"fingerprint {'f' * 64}",
        f"code commit {'c' * 40}, no uncommitted changes",
        "packages python 3.11.9, numpy 2.4.0, torch 2.13.0",
        "trained on cpu, a processor",
        "took 61.25 s (0:01:01)",
        f"evaluation {evaluation.name}",
        "split val",
        f"result {evaluation.path}",
        "images 2",
        "mIoU 71.25",
        "command snakemake --cores all reports/toy.md --config preset=full seeds=1",
    ):
        assert f"{line}\n" in text, line
    assert "pending" not in text
    assert str(tmp_path) not in text


def test_equal_files_give_equal_text(both, finish, tmp_path):
    for number in (0, 1):
        finish(both(2).cells[0].evaluations[number], 0.5)
    assert render_show(both(2), "toy/wide", tmp_path) == render_show(both(2), "toy/wide", tmp_path)


def test_seeds_are_shown_one_by_one_with_mean_and_deviation(both, show, finish):
    experiment = both(seeds=2)
    first, second = experiment.cells[0].evaluations
    finish(second, 0.72)
    text = show(experiment)
    assert "ours pending (1 of 2 seeds measured)\n" in text
    of_first, of_second = text.split("Seed ")[1:]
    assert "mIoU pending" in of_first and "mIoU 72.00" in of_second
    finish(first, 0.7)
    text = show(experiment)
    assert "ours 71.00 ± 1.41 (mean and deviation of 2 seeds)\n" in text
    assert "seeds=2\n" in text


def test_a_trained_run_that_is_not_evaluated_shows_its_weights(both, show, finish):
    experiment = both()
    finish(experiment.cells[0].evaluations[0], 0.5).unlink()
    text = show(experiment)
    assert "training done" in text and "weights SHA-256" in text and "mIoU pending" in text


def test_an_old_manifest_without_a_fact_says_so(both, show, finish):
    experiment = both()
    finish(experiment.cells[0].evaluations[0], 0.5, {"code": {"commit": None, "modified": None}})
    text = show(experiment)
    assert "packages not recorded\n" in text
    assert "took not recorded\n" in text
    assert "code unknown commit (not a git checkout)\n" in text


def test_uncommitted_changes_are_told(both, show, finish):
    experiment = both()
    code = {"commit": "a" * 40, "modified": True}
    finish(experiment.cells[0].evaluations[0], 0.5, {"code": code})
    assert f"code commit {'a' * 40}, with uncommitted changes\n" in show(experiment)


def test_a_preset_that_is_not_judged_says_so_beside_the_difference(both, show, finish):
    experiment = both(preset="toy")
    finish(experiment.cells[0].evaluations[0], 0.5)
    text = show(experiment)
    assert "difference -20.00 (not judged: another scale than the published one)\n" in text
    assert "iterations 7\n" in text
    assert "dataset drawings (stand-in for photos, drawn), split train\n" in text


def test_a_cell_without_a_published_value_has_no_difference(both, show, finish):
    experiment = both()
    cell = experiment.cells[1]
    finish(cell.evaluations[0], 0.5)
    text = show(experiment, cell.id)
    assert "published none\n" in text and "difference none\n" in text


def test_the_iou_of_one_class(build, edit, show, finish):
    edit("tables/toy.yaml", "model: net, published: 70.0", "model: net, metric: iou.thing")
    experiment = build()
    finish(experiment.cells[0].evaluations[0], 0.5, per_class_iou=[0.25, 0.75])
    text = show(experiment)
    assert "metric IoU of thing\n" in text and "\n IoU of thing 75.00\n" in text
    finish(experiment.cells[0].evaluations[0], 0.5, per_class_iou=[0.25, None])
    text = show(experiment)
    assert "ours none: the class does not occur in the data\n" in text
    assert "IoU of thing none: no such class\n" in text


def test_a_run_that_continues_another_names_its_parent(build, edit, show, finish, tmp_path):
    edit("tables/toy.yaml", "cell: quick,", "cell: quick, continues: wide,")
    experiment = build()
    wide, _, quick = experiment.cells
    parent = wide.evaluations[0].run_key
    assert f"starts from parent run {parent} (toy/wide), pending\n" in show(experiment, quick.id)
    finish(wide.evaluations[0], 0.5)
    finish(quick.evaluations[0], 0.5, {"start_weights": "d" * 64})
    text = show(experiment, quick.id)
    assert f"starts from parent run {parent} (toy/wide), done, SHA-256 {'d' * 64}\n" in text
    assert "note a note\n" in text


def test_published_start_weights_are_named_with_their_hash(build, edit, show, finish):
    weights = "{name: N, file: n.pth, url: u, sha256_prefix: abcdef12}"
    edit("models/net.yaml", "  width:", f"  weights: {{value: {weights}, stated: s}}\n  width:")
    experiment = build()
    assert "starts from N: weights/n.pth\n" in show(experiment)
    finish(experiment.cells[0].evaluations[0], 0.5, {"start_weights": "d" * 64})
    assert f"starts from N: weights/n.pth, SHA-256 {'d' * 64}\n" in show(experiment)


def test_data_that_changed_after_the_training_are_told(both, show, finish, tmp_path):
    import numpy as np
    from PIL import Image

    from dmnet.data.manifest import write_manifest

    experiment = both(preset="toy")
    folder = tmp_path / "data" / "drawings"
    folder.mkdir(parents=True)
    pairs = {}
    for split, images in {"train": 4, "val": 2}.items():
        pairs[split] = [(f"{split}{n}.png", f"{split}{n}-label.png") for n in range(images)]
        for image, label in pairs[split]:
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / image)
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / label)
    here = write_manifest(folder, experiment.datasets["drawings"], folder, pairs).fingerprint
    assert f"fingerprint {here} (prepared)\n" in show(experiment)
    finish(experiment.cells[0].evaluations[0], 0.5)
    expected = f"fingerprint {'f' * 64} (data/drawings is now another: {here})\n"
    assert expected in show(experiment)


def test_settings_come_with_value_origin_and_source_assumed_ones_first(both, show):
    text = show(both(preset="toy"), "toy/quick")
    head, _, rows = text.partition("\nsetting value origin source\n")
    assert head.endswith("Settings: 11, of which 3 assumed")
    lines = [line.strip() for line in rows.splitlines()[1:]]
    assert len(lines) == 11
    assert lines[:3] == [
        "head.channels 16 assumed a guess",
        "align_corners false assumed a guess",
        "recipe.weight_decay 0.0 assumed none",
    ]
    assert 'head.name "fcn" stated section 2' in lines
    by_name = {line.split()[0]: line for line in lines}
    assert by_name["recipe.lr"].startswith("recipe.lr 0.5 table ")
    assert by_name["recipe.lr"].endswith("toy.yaml: cell 'quick'")
    assert by_name["backbone.width"].endswith("presets/toy.yaml")


# ------------------------------------------------------------------------------------ profiles


@pytest.fixture
def profiled(build, edit):
    edit(
        "tables/toy.yaml",
        "A: {cell: wide, model: net, published: 70.0}",
        "A: {cell: wide, model: net, published: 3.0, "
        "profile: {measure: macs, per: 1000, input_size: [64, 96]}}",
    )
    return build()


def test_a_profiled_cell_shows_its_file_measure_and_unit(profiled, show, tmp_path):
    profile = profiled.cells[0].profile
    text = show(profiled)
    assert f"Profile {profile.key}\n cells toy/wide\n profile {profile.path} (not here)\n" in text
    assert "ours pending\n" in text and "count pending\n" in text
    assert "Seed " not in text
    path = tmp_path / profile.path
    path.parent.mkdir()
    path.write_text(json.dumps({"profile": profile.key, "macs": 2500}))
    text = show(profiled)
    for line in (
        "metric macs",
        "ours 2.50",
        "difference -0.50",
        "source of ours profiled",
        "measure macs",
        "unit 1,000 (the count is divided by it)",
        "input 64 x 96 (height x width), full model width at every preset",
        "count 2,500",
    ):
        assert f"{line}\n" in text, line


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("toy/wied", "did you mean toy/wide"),
        ("toys/wide", "did you mean toy/wide"),
        ("wide", "did you mean toy/wide"),
        ("toy/zzzzzz", "expected one of toy/wide, toy/deep, toy/quick;"),
        ("9999/zzzzzz", "expected TABLE/CELL with a table of toy, twin;"),
        ("", "expected TABLE/CELL with a table of toy, twin;"),
    ],
)
def test_an_unknown_cell_names_near_ones_and_how_to_list_them(both, tmp_path, asked, said):
    with pytest.raises(SpecError) as error:
        render_show(both(), asked, tmp_path)
    message = str(error.value)
    assert message.startswith(f"cell {asked!r}: unknown; {said}")
    assert "python -m pipeline plan TABLE" in message and "\n" not in message


def test_a_result_of_another_run_is_an_error_not_a_number(both, finish, tmp_path):
    experiment = both()
    path = finish(experiment.cells[0].evaluations[0], 0.5, run="0" * 16)
    with pytest.raises(ResultError, match="of another run") as error:
        render_show(experiment, "toy/wide", tmp_path)
    assert str(path) in str(error.value)


def test_a_damaged_train_json_is_an_error_that_names_it(both, finish, tmp_path):
    experiment = both()
    path = finish(experiment.cells[0].evaluations[0], 0.5)
    (path.parents[1] / "train.json").write_text("{")
    with pytest.raises(DMNetError, match=r"train\.json: not valid JSON"):
        render_show(experiment, "toy/wide", tmp_path)
