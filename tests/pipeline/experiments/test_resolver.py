"""Cells become runs: equal configurations share one, names and labels do not count."""

from __future__ import annotations

import pytest

from pipeline.errors import SpecError


def test_equal_configurations_share_a_run_across_tables(build):
    experiment = build(tables=("toy", "twin"))
    assert len(experiment.cells) == 4
    assert len(experiment.runs) == 3
    assert [run.cells for run in experiment.runs.values()] == [
        ["toy/wide", "twin/same-as-wide"],
        ["toy/deep"],
        ["toy/quick"],
    ]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tables/toy.yaml", "title: Toy table", "title: Other"),
        ("tables/toy.yaml", "cell: wide", "cell: renamed"),
        ("tables/toy.yaml", "published: 70.0", "published: 12.0"),
        ("tables/toy.yaml", "Kind: first", "Kind: 1st"),
        ("models/net.yaml", 'assumed: "a guess"', 'assumed: "a better guess"'),
        ("recipes/short.yaml", "lr: {value: 0.25", "lr: {value: 2.5e-1"),
        ("datasets/photos.yaml", "[nothing, thing]", "[void, something]"),
        ("presets/full.yaml", "log_every: 1", "log_every: 9"),
    ],
)
def test_what_changes_no_weight_is_outside_the_key(build, edit, file, old, new):
    before = list(build().runs)
    edit(file, old, new)
    assert list(build().runs) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/net.yaml", "width: {value: 8", "width: {value: 12"),
        ("recipes/short.yaml", "lr: {value: 0.25", "lr: {value: 0.125"),
        ("recipes/short.yaml", "epochs: {value: 3", "epochs: {value: 4"),
        ("presets/full.yaml", "judged: true", "judged: true\ncpu_threads: 2"),
        ("datasets/photos.yaml", "layout: voc2012aug", "layout: voc2012aug\nignore_index: 254"),
    ],
)
def test_what_changes_weights_changes_the_key(build, edit, file, old, new):
    before = build().cells_of("toy")[0].evaluations[0].run_key
    edit(file, old, new)
    assert build().cells_of("toy")[0].evaluations[0].run_key != before


def test_each_seed_is_a_run_and_the_first_ones_key_stays(build):
    one, three = build(), build(seeds=3)
    assert len(three.runs) == 9
    assert set(one.runs) < set(three.runs)
    for cell in three.cells:
        seeds = [three.runs[e.run_key].job.run.seed for e in cell.evaluations]
        assert seeds == [0, 1, 2]


def test_the_name_of_an_evaluation_changes_with_its_protocol(build, edit):
    before = build().cells[0].evaluations[0]
    edit("datasets/photos.yaml", "val: val}\ncounts", "val: other}\ncounts")
    after = build().cells[0].evaluations[0]
    assert after.run_key == before.run_key
    assert after.path != before.path


def test_a_preset_says_from_how_many_views_on_evaluations_are_optimised(build, edit):
    """One number; the run stays, its evaluations are others, as scores differ by rounding."""
    before = build("toy").cells[0].evaluations[0]
    edit("presets/toy.yaml", "execution:", "optimised_from: 40\nexecution:")
    after = build("toy").cells[0].evaluations[0]
    assert before.config.optimised_from is None and after.config.optimised_from == 40
    assert after.run_key == before.run_key and after.name != before.name


def test_a_batch_that_cannot_be_divided_is_refused_before_anything_runs(build, edit):
    edit("presets/full.yaml", "log_every: 1", "log_every: 1, processes: 3")
    with pytest.raises(SpecError, match=r"presets/full.yaml: .*4 images cannot be divided"):
        build()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("recipes/short.yaml", "batch_size: {value: 4", "batch_size: {value: 1"),
        ("presets/full.yaml", "log_every: 1", "log_every: 1, accumulate: 4"),
    ],
)
def test_one_value_in_a_part_is_refused_by_cell(build, edit, file, old, new):
    """Which has no statistics; maps of crops this small are one pixel."""
    edit("recipes/short.yaml", "[32, 48]", "[8, 8]")
    assert build()
    edit(file, old, new)
    line = r"cell 'wide', .*presets/full\.yaml: recipe\.batch_size: .* maps of 1 pixel at crops"
    with pytest.raises(SpecError, match=line):
        build()
