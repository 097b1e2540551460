"""`snakemake --cores all reports/table2.md`: the whole table, and nothing the second time."""

from __future__ import annotations

import re

import yaml

RATES = ["1,2,3,4", "1,3,5,7", "2,4,8,12", "6,12,18,24", "6,12,24,36", "12,24,36,48", "18,30,42,54"]


def table_rows(markdown: str) -> list[list[str]]:
    """The cells of the Markdown table that starts with `Filter types`."""
    block = re.search(r"^\| Filter types.*?(?=\n\n)", markdown, re.M | re.S)
    assert block is not None
    lines = block[0].splitlines()
    return [[entry.strip() for entry in line.strip("|").split("|")] for line in lines]


def plain_rows(markdown: str) -> list[list[str]]:
    """Without the bold print."""
    return [[entry.strip("*") for entry in row] for row in table_rows(markdown)]


def yaml_rows(clone):
    return yaml.safe_load(clone.read("params/tables/table2.yaml"))["rows"]


def test_table2_has_the_papers_layout(whole):
    head, _, *rows = table_rows(whole.read("reports/table2.md"))
    assert head == [
        *("Filter types", "Dilation rates"),
        *("Regular published", "ours", "Δ", "Depthwise published", "ours", "Δ"),
    ]
    assert [row[:2] for row in rows] == [
        *(["Dilated", f"{{{rates}}}"] for rates in RATES),
        ["Context-aware", "-"],
    ]
    assert rows[-1][2:5] == ["", "", ""], "the paper has no regular context-aware filter"


def test_published_values_are_those_of_the_yaml(whole):
    _, _, *rows = plain_rows(whole.read("reports/table2.md"))
    for shown, written in zip(rows, yaml_rows(whole), strict=True):
        for column, name in ((2, "Regular"), (5, "Depthwise")):
            expected = f"{written[name]['published']:.2f}" if name in written else ""
            assert shown[column] == expected


def test_every_cell_is_measured_and_its_difference_is_that_of_the_printed_numbers(whole):
    _, _, *rows = plain_rows(whole.read("reports/table2.md"))
    cells = [row[start : start + 3] for row in rows for start in (2, 5) if row[start]]
    assert len(cells) == 15
    for published, ours, difference in cells:
        assert f"{float(ours) - float(published):+.2f}" == difference


def test_the_json_twin_agrees_with_the_markdown(whole):
    _, _, *rows = plain_rows(whole.read("reports/table2.md"))
    report = whole.json("reports/table2.json")
    for shown, entry in zip(rows, report["rows"], strict=True):
        for start, name in ((2, "Regular"), (5, "Depthwise")):
            if name in entry:
                cell = entry[name]
                expected = [f"{cell[k]:.2f}" for k in ("published", "ours")]
                assert shown[start : start + 3] == [*expected, f"{cell['difference']:+.2f}"]


def test_the_readmes_sample_is_of_this_table_and_has_no_number_that_was_trained(whole):
    """What a training gives depends on the processor: there the sample has xx.xx."""
    head, _, *rows = table_rows(whole.read("reports/table2.md"))
    sample_head, _, *sample = table_rows(whole.read("README.md"))
    assert sample_head == head
    trained = [n for n, title in enumerate(head) if title in ("ours", "Δ")]
    for row in rows:
        for column in trained:
            row[column] = re.sub(r"\d+\.\d\d", "xx.xx", row[column])
    assert len(sample) == 3 and all(row in rows for row in sample)


def test_each_number_is_the_miou_that_its_evaluation_wrote(whole):
    cells = [
        entry[name]
        for entry in whole.json("reports/table2.json")["rows"]
        for name in ("Regular", "Depthwise")
        if name in entry
    ]
    assert len(cells) == 15
    for cell in cells:
        (run,) = cell["runs"]
        metrics = whole.json(f"runs/{run['run']}/evaluations/{run['evaluation']}.json")
        assert cell["ours"] == round(100 * metrics["miou"], 2)
        assert run["weights_sha256"] == whole.weights()[run["run"]]


def test_fifteen_cells_take_fifteen_runs_one_dataset_and_one_report(whole):
    assert whole.first.jobs == {"prepare": 1, "train": 15, "evaluate": 15, "report": 1}
    assert len(whole.runs()) == 15
    assert len(set(whole.weights().values())) > 1, "different heads, different weights"


def test_the_report_names_the_commit_that_trained_it(whole):
    commit = whole.git("rev-parse", "HEAD").strip()
    assert whole.json("reports/table2.json")["code"] == [{"commit": commit, "modified": False}]
    assert f"`{commit[:12]}`" in whole.read("reports/table2.md")


def test_asked_again_nothing_is_done(whole):
    reports = [whole.path / "reports" / f"table2.{kind}" for kind in ("md", "json")]
    before = [path.stat().st_mtime_ns for path in reports]
    result = whole.snakemake("reports/table2.md")
    assert result.code == 0
    assert "Nothing to be done" in result.text
    assert result.jobs == {}
    assert [path.stat().st_mtime_ns for path in reports] == before


def test_nothing_unfinished_is_left(whole):
    assert whole.leftovers() == []
    assert list(whole.path.glob("runs/*/resume")) == []
    assert list(whole.path.glob("runs/*/progress.json")) == []


def test_the_tiny_runs_are_those_of_a_smaller_table(whole, small):
    """The key depends on neither table nor title: equal configurations, equal weights."""
    shared = whole.weights().keys() & small.weights().keys()
    assert len(shared) == 2, "three.yaml: `ours` and `regular` stand in table 2 as well"
    assert {whole.weights()[k] for k in shared} == {small.weights()[k] for k in shared}
