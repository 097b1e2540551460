"""A report as a model: its JSON is its dump, and what cannot be is refused."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from pipeline.reports.model.base import json_of
from pipeline.reports.model.report import Report
from tests.pipeline.reports.made import a_cell, a_report, a_run


@pytest.fixture
def made():
    trained = a_cell("all/a", ours=1.0, runs=[a_run("a", "w", value=1.0)])
    return a_report([trained, a_cell("all/b", source="pending")])


def test_what_is_read_again_is_the_same_to_the_byte(made):
    text = json_of(made)
    assert json_of(Report.model_validate(json.loads(text))) == text


def test_what_stands_for_nothing_is_left_out_and_the_rest_is_null(made):
    content = json.loads(json_of(made))
    assert not {"bold", "measured_by"} & content.keys()
    assert content["rows"][0]["all/b"]["verdict"] is None
    bold = json.loads(json_of(made.model_copy(update={"bold": [(0, "all/a")]})))
    assert bold["bold"] == [[0, "all/a"]]


def test_entries_of_other_versions_are_kept(made):
    content = json.loads(json_of(made)) | {"added": {"more": [1, "text"]}}
    assert json.loads(json_of(Report.model_validate(content)))["added"] == {"more": [1, "text"]}


def test_cells_stand_in_reading_order_and_are_counted(made):
    assert [cell.cell for cell in made.cells] == ["all/a", "all/b"]
    assert made.source_counts == "1 pending, 1 trained"
    assert made.lacking("pending", "failed") == ["all/b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ["all/a"]}, "a cell in a column 'all/b' that there is not"),
        ({"seeds": 2}, "all/a: not one run for each of the seeds"),
        ({"bold": [[1, "all/a"]]}, "bold: no row 1"),
        ({"bold": [[0]]}, "bold.0.1"),
    ],
)
def test_what_does_not_fit_together_is_refused(made, changes, message):
    with pytest.raises(ValidationError) as caught:
        Report.model_validate(json.loads(json_of(made)) | changes)
    assert message in str(caught.value)
