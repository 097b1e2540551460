"""`params/` says what its five sources say: each number, label, link and hash, at its place.

The facts are tests/golden/sources.json, which tests/reference/extract_sources.py extracted from the
sources' texts. source_tables.py and source_text.py compare, and list what differs on purpose.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest

from pipeline.spec.params import Params
from pipeline.spec.tables import CellSpec
from tests.pipeline.spec import source_tables, source_text
from tests.reference import extract_sources

ROOT = Path(__file__).resolve().parents[3]
TABLES = [*source_tables.PAPER_TABLES, *source_tables.READMES]


def differences(params: Params) -> list[str]:
    kinds = (*source_tables.COMPARISONS, source_text.running_text)
    return [line for compare in kinds for line in compare(params)]


@pytest.fixture(scope="module")
def params() -> Params:
    return Params(ROOT / "params")


def test_params_and_sources_say_the_same(params: Params) -> None:
    assert differences(params) == []


def test_the_facts_are_all_of_the_sources() -> None:
    """Counted by hand in the texts."""
    rows = {
        name: [len(table["rows"]) for table in source["tables"]]
        for name, source in source_tables.BY_NUMBER.items()
    }
    assert rows == {
        "000": [8, 4],
        "001": [4, 4, 4],
        "002": [4],
        "003": [3, 8, 2, 4, 2, 5, 10, 13, 14],
        "004": [8, 4, 4],
    }
    # Of the 32 bold marks one is a label, Table 1's `Ours`.
    bold = {name: source_tables.bold(name) for name in source_tables.PAPER_TABLES}
    assert [len(marks) for marks in bold.values()] == [4, 3, 0, 1, 0, 1, 21, 1, 1]
    assert bold["table1"][-2:] == [(2, "Kernel size"), (2, "{1,3,5}")]


# ------------------------------------------------------------ a changed digit is named, either side


@pytest.mark.parametrize("name", TABLES)
def test_a_changed_number_of_params_is_named(params: Params, name: str) -> None:
    """One digit of one number, chosen at random; the message names table, row and column."""
    chance = random.Random(name)
    spec = params.table(name)
    places = [
        (number, column, entry)
        for number, row in enumerate(spec.rows)
        for column, entry in row.items()
        if isinstance(source_tables.said(entry), float)
    ]
    for number, column, entry in chance.sample(places, 3):
        digit = chance.choice([0.01, 0.1, 1.0, 10.0])
        value = round(source_tables.said(entry) + digit, 2)
        changed = isinstance(entry, CellSpec)
        new = entry.model_copy(update={"published": value}) if changed else value
        rows = [*spec.rows[:number], {**spec.rows[number], column: new}, *spec.rows[number + 1 :]]
        (line,) = source_tables.table(name, spec.model_copy(update={"rows": tuple(rows)}))
        label = source_tables.row_label(spec.rows[number])
        assert line.startswith(f"{name}, row ")
        assert f" ({label}), column {column!r}: {value} in params/, " in line


@pytest.mark.parametrize("name", TABLES)
def test_a_changed_text_of_the_sources_is_named(
    params: Params, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any cell, label or link of the facts, chosen at random."""
    chance = random.Random(name)
    readme = source_tables.READMES.get(name)
    found = readme["tables"] if readme else [source_tables.PAPER_TABLES[name]]
    cells = chance.choice([row["cells"] for table in found for row in table["rows"]])
    column = chance.choice([column for column, value in cells.items() if value])
    monkeypatch.setitem(cells, column, "another")
    assert [line for line in source_tables.table(name, params.table(name)) if "another" in line]


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("tables/table2", "{1,2,3,4}", "{1,2,4,3}", r"table2, row 1 .*'Dilation rates'"),
        ("tables/table9", "DSSPN [24]", "DSSPN [25]", r"table9, row 12 .*DSSPN \[25\].*'Method'"),
        ("tables/table9", "Table 9 (section 4.4)", "Table 9 (section 4.3)", "table9: source"),
        ("tables/table9", '{Method: "SegNet [2]", mIoU%: 21.64}\n  - ', "", "13 rows in params/"),
        ("tables/mmseg_dmnet", "heading: ADE20K", "heading: ADE", "row 9 .*'heading'"),
        ("tables/mmseg_dmnet", "abc9d111.pth", "abc9d112.pth", "row 2 .*'download'"),
        ("tables/mmseg_dmnet", "December 2020", "June 2020", "mmseg_dmnet: source"),
        ("tables/mmseg_dmnet", "Mem (GB): 1", "Mem (GB): 2", "printed to 2 places"),
        ("checkpoints", '"abc9d111"', '"abc9d112"', "_r101-d8_512x1024_40k.*sha256_prefix"),
        ("checkpoints", "source: sssegmentation README", "source: a friend", "os8_voc: source"),
        ("recipes/paper-context", "0.005", "0.05", "section 4.1 .*: 0.005; params/ has .0.05."),
        ("recipes/paper-voc", "momentum: {value: 0.9", "momentum: {value: 0.8", "momentum = 0.8"),
        ("datasets/voc2012aug", "trainaug: 10582", "trainaug: 10528", "10,582; params/ has"),
        ("figures/figure3", "section 4.5", "section 4.2", "figure3.yaml: source"),
        (
            "claims",
            "heading: *others, sentence: 8}",
            "heading: *others, sentence: 9}",
            "no sentence",
        ),
        ("tables/table7", "chair: [ResNet38]", "chair: [DMNet]", "table7: bold marks"),
        ("claims", "about: 8.38", "about: 8.83", "8.38%; params/ has"),
    ],
)
def test_a_changed_text_of_params_is_named(
    params: Params, tmp_path: Path, file: str, old: str, new: str, words: str
) -> None:
    shutil.copytree(ROOT / "params", tmp_path / "params")
    path = tmp_path / "params" / f"{file}.yaml"
    text = path.read_text()
    path.write_text(text.replace(old, new, 1))
    assert old in text, f"{path.name} has no {old!r} any more; choose another text to change"
    found = set(differences(Params(tmp_path / "params"))) - set(differences(params))
    assert any(re.search(words, line) for line in found), found
    assert len(found) <= 5, found


# ------------------------------------------------------------------------- the extraction itself

README = """\
# A method

See <a href="https://a.org/code">code</a>.

### Streets

| Method | Mem (GB) | mIoU  | download |
|--------|----------|------:|---------:|
| DMNet  | 7.0 | 77.78 | [model](https://a.org/a-5e88fa33.pth) &#124; [log](https://a.org/a.json) |
| DMNet  | -        | 79.07 | - |
"""
PAPER = """\
# A paper

Nobody<sup>1,2</sup>, 100 Street

## Abstract

*It reaches 84.4% mIoU on VOC 2012 [5, 6].*

## 1. Introduction

**First part.** Sets  $\\{1, 3\\}$  and  $512 \\times 512$  on ResNet101, i.e. Table 2.
It has 10,582 images and

Filter	Rates	Regular
Dilated	{1,2}	73.37
	{1,3}	<b>76.22</b>
{2,4}	77.18	
Other	-	

Table 2. All rates, 3 each.

goes to 1/8 in the 3rd row.

About 7% more.

$$h = f(x), \\quad (1)$$

## References

- [1] Somebody, pages 1-99, 2016.
"""


def test_a_readmes_facts() -> None:
    found = extract_sources.facts(README)
    assert found["links"] == ["https://a.org/code"] and found["numbers"] == []
    (table,) = found["tables"]
    assert (table["name"], table["columns"][1]) == ("Streets", "Mem (GB)")
    first, second = (row["cells"] for row in table["rows"])
    assert (first["Mem (GB)"], second["mIoU"], second["Mem (GB)"]) == ("7.0", "79.07", "-")
    assert first["download"] == {
        "model": "https://a.org/a-5e88fa33.pth",
        "log": "https://a.org/a.json",
        "hash": "5e88fa33",
    }


def test_a_papers_facts() -> None:
    """Spans are filled, a row written too far left is put right, bold marks are kept apart."""
    found = extract_sources.facts(PAPER)
    (table,) = found["tables"]
    assert (table["name"], table["sections"]) == ("Table 2", ["1"])
    assert [tuple(row["cells"].values()) for row in table["rows"]] == [
        ("Dilated", "{1,2}", "73.37"),
        ("Dilated", "{1,3}", "76.22"),
        ("Dilated", "{2,4}", "77.18"),
        ("Other", "-", ""),
    ]
    assert [row.get("bold") for row in table["rows"]] == [None, ["Regular"], None, None]
    assert [tuple(paragraphs.values()) for paragraphs in found["paragraphs"]] == [
        ("abstract", "", [1]),
        ("1", "First part", [2, 1]),
        ("1", "caption of Table 2", [1]),
    ]
    assert [tuple(numbers.values()) for numbers in found["numbers"]] == [
        ("abstract", "", 1, 1, ["84.4%"]),
        ("1", "First part", 1, 1, ["{1,3}", "512x512"]),
        ("1", "First part", 1, 2, ["10,582", "1/8"]),
        ("1", "First part", 2, 1, ["7%"]),
        ("1", "caption of Table 2", 1, 1, ["3"]),
    ]


def test_the_file_of_facts_is_written_alike_each_time(tmp_path: Path) -> None:
    (tmp_path / "003_paper.txt").write_text(PAPER)
    (tmp_path / "000_readme.txt").write_text(README)
    text = extract_sources.written(tmp_path)
    assert text == extract_sources.written(tmp_path)
    assert list(json.loads(text)) == ["000_readme", "003_paper"]
    with pytest.raises(FileNotFoundError, match=r"no \*\.txt; give the folder"):
        extract_sources.written(tmp_path / "nowhere")
