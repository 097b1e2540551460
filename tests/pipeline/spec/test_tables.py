"""Tables: labels say what their cells train. Published numbers: test_sources.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.spec.params import Params

PARAMS = Path(__file__).resolve().parents[3] / "params"


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


def test_labels_are_the_rows_texts_without_heading_and_links(zoo):
    assert [cell.row for cell in zoo().cells] == ["first"] * 3 + ["second - -"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("heading: Rooms", "heading: 7", "`heading` = 7.0; expected a text"),
        ("Kind: second", "Kind: {model: net}", "column 'Kind': the key `cell` is missing"),
        ("defaults: {model: net, ", "defaults: {cell: x, model: net, ", "`defaults` names no cell"),
        ("defaults: {model: net, ", "defaults: {modell: net, ", "unknown key .*modell`"),
        ("{Mem: 1}", "{Memory: 1}", "`column_decimals` names the unknown column 'Memory'"),
        ("[Kind, Mem", "[heading, Mem", "'heading', which is a key of rows"),
        ("measure: memory", "measure: heat", "measure"),
        (
            "speed: {measure: memory}",
            "speed: {measure: memory}, profile: {measure: macs, input_size: [64, 64]}",
            "two kinds of cells",
        ),
    ],
)
def test_a_malformed_row_is_refused_with_the_tables_file(zoo, edit, folder, old, new, words):
    edit("tables/zoo.yaml", old, new)
    with pytest.raises(Exception, match=words) as caught:
        zoo()
    assert str(folder / "tables" / "zoo.yaml") in str(caught.value)
