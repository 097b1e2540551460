"""What the paper prints in bold: every mark of it is in the tables, and is printed in ours."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dmnet.errors import DMNetError
from pipeline.reports.build import build_report
from pipeline.reports.claims.bold import bold_marks, bold_places
from pipeline.reports.html.page import render_page
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.model.claims import Claims
from pipeline.spec.params import Params

ROOT = Path(__file__).parents[4]
# Counted in the paper: 31 numbers, and the label "Ours" of Table 1.
NUMBERS = {
    "table1": 3,
    "table2": 3,
    "table4": 1,
    "table6": 1,
    "table7": 21,
    "table8": 1,
    "table9": 1,
}
OTHERS_IN_TABLE7 = {  # not DMNet's
    *("bird 96.3", "boat 76.7", "bottle 86.2"),
    *("chair 40.1", "sofa 64.0", "train 87.7", "tv 78.1"),
}


@pytest.fixture(scope="module")
def tables():
    params = Params(ROOT / "params")
    return {f"table{n}": params.table(f"table{n}") for n in range(1, 10)}


def test_the_papers_32_marks(tables):
    marks = bold_marks(tables)
    assert Counter(mark.table for mark in marks) == NUMBERS
    assert sum(len(bold_places(table)) for table in tables.values()) == 32
    others = {f"{m.row} {m.printed}" for m in marks if m.table == "table7" and m.column != "DMNet"}
    assert others == OTHERS_IN_TABLE7


def test_a_mark_is_compared_with_what_it_is_read_to_be_the_best_of(tables):
    marks = {mark.id: mark for mark in bold_marks(tables)}
    row = marks["bold-table1-regular-1-3-5"]
    assert set(row.others) == {f"table1/regular-{name}" for name in ("1", "1-3", "1-3-5-7")}
    block = marks["bold-table2-depthwise-6-12-24-36"]
    assert len(block.others) == 6
    assert "table2/context-aware" not in block.others, "another type of filter"
    assert len(marks["bold-table2-context-aware"].others) == 14
    quoted = marks["bold-table7-sofa-pspnet"]
    assert (quoted.name, len(quoted.others)) == ("table7/sofa:PSPNet", 9)


@pytest.fixture
def marked(edit):
    """The toy table with a label, a number of ours and a quoted one in bold."""
    edit(
        "tables/toy.yaml",
        "rows:",
        "bold: [{best_of: column, marks: {first: [A], third: [B]}}, {marks: {second: [Kind]}}]\n"
        "rows:\n  - {Kind: third, B: 4.5}",
    )


def test_bold_is_printed_in_markdown_and_on_the_page(marked, build, tmp_path):
    report = build_report(build("toy"), "toy", tmp_path)
    markdown = render_markdown(report)
    for text in (" **70.00** |", "| **second** ", " **4.50** (quoted) |", " 60.50 |"):
        assert text in markdown
    html = render_page({"toy": report}, Claims([]), {})
    for text in ("<b>70.00</b>", "<b>second</b>", "<b>4.50 (quoted)</b>", ">60.50<"):
        assert text in html


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "first: [A]",
            "fifth: [A]",
            "`bold` names an unknown row, 'fifth'; expected one of",
        ),
        ("third: [B]", "third: [A]", "row 'third', column 'A', where no published number stands"),
        ("second: [Kind]", "second: [A]", "row 'second', column 'A', where no label stands"),
        ("best_of: column", "best_of: colour", "best_of"),
    ],
)
def test_a_mark_of_nothing_is_refused(marked, edit, folder, old, new, message):
    edit("tables/toy.yaml", old, new)
    with pytest.raises(DMNetError) as caught:
        Params(folder).table("toy")
    assert "tables/toy.yaml" in str(caught.value)
    assert message in str(caught.value)
