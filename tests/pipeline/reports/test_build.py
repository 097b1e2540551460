"""The machine-readable report: every cell with its value, its origin and what it rests on."""

from __future__ import annotations

import pytest

from pipeline.errors import ResultError
from pipeline.reports.build import build_report
from pipeline.reports.model.base import json_of


@pytest.fixture
def report(build, finish, tmp_path):
    """At preset `toy`: two of three cells finished."""
    experiment = build("toy")
    wide, _, quick = experiment.cells
    finish(wide.evaluations[0], 0.7125)
    finish(quick.evaluations[0], 0.605)
    return build_report(experiment, "toy", tmp_path)


def test_rows_and_columns_are_those_of_the_table(report):
    assert report.columns == ["Kind", "A", "B"]
    assert [row["Kind"] for row in report.rows] == ["first", "second"]
    assert [sorted(row) for row in report.rows] == [["A", "B", "Kind"], ["A", "Kind"]]


def test_a_trained_cell_says_what_it_rests_on(report):
    cell = report.rows[0]["A"]
    assert (cell.cell, cell.source) == ("toy/wide", "trained")
    assert (cell.published, cell.ours, cell.difference) == (70.0, 71.25, 1.25)
    (run,) = cell.runs
    assert run.weights_sha256.startswith(run.run)
    assert (run.commit, run.iterations, run.seed) == ("c" * 40, 7, 0)


def test_a_pending_cell_has_no_number(report):
    cell = report.rows[0]["B"]
    assert (cell.source, cell.ours, cell.difference) == ("pending", None, None)
    assert cell.runs == []


def test_a_stand_in_is_called_one(report):
    (data,) = report.datasets
    assert (data.published, data.used, data.stand_in) == ("photos", "drawings", True)
    assert (data.images, data.majority_class_miou) == (2, 12.5)


def test_settings_are_grouped_by_origin_with_their_source(report):
    stated = {entry.key: entry for entry in report.settings["stated"]}
    assert stated["recipe.crop_size"].value == [32, 48]
    assert stated["recipe.crop_size"].source == "section 4"
    changed = {entry.key: entry.value for entry in report.settings["preset"]}
    assert changed == {"recipe.iterations": 7, "backbone.width": 4}
    assert [e.value for e in report.settings["table"] if e.key == "recipe.lr"] == [0.5]


def test_settings_list_each_distinct_one_once(build, tmp_path):
    found: dict[str, list[object]] = {}
    for entry in build_report(build(), "toy", tmp_path).settings["stated"]:
        found.setdefault(entry.key, []).append(entry.value)
    assert (found["head.name"], found["recipe.epochs"]) == (["fcn", "dmnet"], [3])
    assert "head.dropout" not in found


def test_commits_of_the_runs_are_named_once(report):
    assert [(made.commit, made.modified) for made in report.code] == [("c" * 40, False)]


def test_cells_with_the_same_weights_are_pointed_out(build, finish, tmp_path):
    experiment = build("toy")
    same = {"weights": {"file": "weights.pt", "sha256": "5" * 64}}
    for cell in experiment.cells:
        finish(cell.evaluations[0], 0.5, trained=same, weights_sha256="5" * 64)
    report = build_report(experiment, "toy", tmp_path)
    assert report.same_weights == [["toy/wide", "toy/deep", "toy/quick"]]


def test_equal_results_give_equal_bytes(build, finish, tmp_path):
    experiment = build("toy")
    finish(experiment.cells[0].evaluations[0], 0.7125)
    first = json_of(build_report(experiment, "toy", tmp_path))
    assert json_of(build_report(build("toy"), "toy", tmp_path)) == first
    assert str(tmp_path) not in first.replace(str(tmp_path / "params"), "params")


def test_what_could_not_be_read_again_is_not_built(build, edit, tmp_path):
    edit("tables/toy.yaml", "columns:", "decimals: 11\ncolumns:")
    with pytest.raises(ResultError, match=r"reports/toy\.json: `decimals` = 11: .*equal to 10"):
        build_report(build("toy"), "toy", tmp_path)


def test_at_a_judged_preset_a_finished_cell_has_a_verdict(build, finish, rules, tmp_path):
    experiment = build("full", seeds=2)
    wide, deep, quick = experiment.cells
    for evaluation, miou in zip(wide.evaluations, (0.700, 0.702), strict=True):
        finish(evaluation, miou)  # published: 70.0
    for evaluation in deep.evaluations:
        finish(evaluation, 0.7)  # nothing published
    finish(quick.evaluations[0], 0.6)  # one of two seeds
    first, second = build_report(experiment, "toy", tmp_path, rules).rows
    verdict = first["A"].verdict
    assert verdict.status == "reproduced"
    assert (verdict.difference, verdict.margin, verdict.seeds) == (0.1, 1.0, 2)
    low, high = verdict.interval
    assert -1 < low < 0.1 < high < 1
    assert first["B"].verdict.status == "not comparable"
    assert first["B"].verdict.remark == "no published number"
    assert second["A"].verdict is None


def test_at_another_preset_nothing_is_judged(report):
    verdict = report.rows[0]["A"].verdict
    assert verdict.status == "not comparable"
    assert verdict.remark == "preset toy is not the published scale"
    assert (verdict.difference, verdict.interval, verdict.margin) == (None, None, None)
