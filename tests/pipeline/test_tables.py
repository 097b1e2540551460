"""Tables: the published numbers are the paper's, labels say what their cells train."""

from __future__ import annotations

from pathlib import Path

import pytest

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
