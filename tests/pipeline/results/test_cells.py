"""A result counts only for the run, protocol, weights and data that it was measured on."""

from __future__ import annotations

import json

import pytest

from dmnet.errors import DMNetError
from pipeline.errors import ResultError
from pipeline.results.cells import read_cell


@pytest.fixture
def read(build, tmp_path):
    """The cell's result by now; this experiment knows every run that a test asks for."""
    return lambda cell: read_cell(cell, build(seeds=5), tmp_path)


@pytest.fixture
def cell(build):
    return build().cells_of("toy")[0]


def test_nothing_is_pending(cell, read):
    result = read(cell)
    assert (result.outcome, result.ours, result.spread, result.difference) == (
        *("pending", None, None),
        None,
    )


def test_a_measured_value_is_in_percent_with_two_places(cell, finish, read):
    finish(cell.evaluations[0], 0.712349)
    result = read(cell)
    assert (result.outcome, result.ours, result.spread) == ("trained", 71.23, None)
    assert result.difference == 1.23, "of the numbers as printed: 71.23 - 70.00"


def test_mean_and_sample_standard_deviation_over_seeds(build, finish, read):
    cell = build(seeds=3).cells_of("toy")[0]
    for evaluation, miou in zip(cell.evaluations, (0.70, 0.71, 0.73), strict=True):
        finish(evaluation, miou)
    result = read(cell)
    assert result.ours == 71.33
    assert result.spread == 1.53  # sqrt((1.33² + 0.33² + 1.67²) / 2)


def test_a_cell_is_pending_until_its_last_seed(build, finish, read):
    cell = build(seeds=2).cells_of("toy")[0]
    finish(cell.evaluations[0], 0.7)
    result = read(cell)
    assert (result.outcome, result.ours) == ("pending", None)


def test_no_difference_without_a_published_value(build, finish, read):
    deep = build().cells_of("toy")[1]
    finish(deep.evaluations[0], 0.5)
    assert read(deep).difference is None


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"run": "0123456789abcdef"}, "run"),
        ({"evaluation_hash": "0" * 64}, "evaluation"),
        ({"weights_sha256": "0" * 64}, "weights"),
        ({"data_fingerprint": "0" * 64}, "data"),
    ],
)
def test_a_result_of_something_else_is_refused(cell, finish, changed, name, read):
    path = finish(cell.evaluations[0], 0.5, **changed)
    with pytest.raises(ResultError) as caught:
        read(cell)
    assert str(caught.value).startswith(f"{path}: is of another {name} (")
    assert "delete the file and run again" in str(caught.value)


@pytest.mark.parametrize("content", ["{}", "[]", "null", "{", '{"run": 1}'])
def test_a_damaged_result_is_refused(cell, finish, content, read):
    path = finish(cell.evaluations[0], 0.5)
    path.write_text(content)
    with pytest.raises(DMNetError, match=path.name):
        read(cell)


def test_a_result_without_its_metric_is_refused(cell, finish, read):
    path = finish(cell.evaluations[0], 0.5)
    content = json.loads(path.read_text())
    del content["miou"]
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match=path.name):
        read(cell)


def test_a_result_of_other_classes_is_refused(cell, finish, read):
    path = finish(cell.evaluations[0], 0.5, per_class_iou=[0.5])
    with pytest.raises(ResultError, match=f"{path.name}: has 1 values for 2 classes; delete"):
        read(cell)


def test_results_are_models_that_nobody_can_change(cell, finish, read):
    finish(cell.evaluations[0], 0.5)
    (run,) = read(cell).runs
    assert (run.metrics.miou, run.trained.iterations) == (0.5, 7)
    with pytest.raises(ValueError, match="frozen"):
        run.metrics.miou = 0.9
