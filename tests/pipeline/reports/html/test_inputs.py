"""What the page is built from: of one preset, and whole."""

from __future__ import annotations

import pytest

from dmnet.errors import RunError
from pipeline.errors import ResultError
from pipeline.reports.html.inputs import read_inputs
from pipeline.reports.model.base import json_of
from pipeline.reports.model.claims import Claims


def write(folder, report):
    (folder / "toy.json").write_text(json_of(report))
    (folder / "claims.json").write_text("[]")


def test_reports_of_another_preset_never_stand_on_the_page(report, tmp_path):
    write(tmp_path, report)
    assert read_inputs(["toy"], tmp_path, "toy", 2) == ({"toy": report}, Claims([]), None)
    with pytest.raises(ResultError, match=r"toy\.json: is of preset 'toy' with 2 seed"):
        read_inputs(["toy"], tmp_path, "full", 2)
    with pytest.raises(RunError, match=r"twin\.json: cannot be read"):
        read_inputs(["toy", "twin"], tmp_path, "toy", 2)


def test_claims_of_an_earlier_version_are_an_error(report, tmp_path):
    write(tmp_path, report)
    (tmp_path / "claims.json").write_text('[{"claim": "wide-wins", "sentence": "Wide wins."}]')
    with pytest.raises(
        ResultError, match=r"claims\.json: `0\.says` is missing.*an earlier version"
    ):
        read_inputs(["toy"], tmp_path, "toy", 2)


def test_a_figure_that_is_no_png_is_an_error(report, tmp_path):
    write(tmp_path, report)
    (tmp_path / "figure3.png").write_text("<html>")
    with pytest.raises(ResultError, match=r"figure3\.png: is no PNG"):
        read_inputs(["toy"], tmp_path, "toy", 2)
