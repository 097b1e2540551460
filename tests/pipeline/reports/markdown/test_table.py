"""Markdown of a made-up report, to the letter."""

from __future__ import annotations

import json

import pytest

from pipeline.reports.build import build_report
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.model.base import json_of
from pipeline.reports.model.report import Report
from tests.pipeline.reports.made import a_cell, a_report


@pytest.fixture
def markdown(report):
    return render_markdown(report)


def paragraph(markdown, start):
    """The block of lines that begins with `start`."""
    (block,) = [part for part in markdown.split("\n\n") if part.startswith(start)]
    return block.rstrip("\n")


def test_the_table_has_published_ours_and_difference(markdown):
    assert paragraph(markdown, "| Kind") == (
        "| Kind   |   A published |         ours |     Δ |   B published |    ours |   Δ |\n"
        "|:-------|--------------:|-------------:|------:|--------------:|--------:|----:|\n"
        "| first  |         70.00 | 71.00 ± 1.41 | +1.00 |               | pending |     |\n"
        "| second |         60.50 |      pending |       |               |         |     |"
    )


def test_the_head_names_title_source_and_unit(markdown):
    assert markdown.startswith(
        "# Toy table\n\nSource of the published numbers: nobody 2020, Table 9. Unit: mIoU %.\n\n"
    )


def test_a_stand_in_and_the_score_of_one_class_are_told_before_the_numbers(markdown):
    head = markdown.split("| Kind")[0]
    assert "**a stand-in** for `photos`" in head
    assert "12.50 (the most frequent class everywhere)" in head
    assert "`cccccccccccc`" in head
    assert "Nothing." in head


def test_notes_of_preset_table_and_cell(markdown):
    assert paragraph(markdown, "- Δ") == (
        "- Δ is ours minus published. At preset `toy` it is no verdict: the two numbers were "
        "measured on different data at a different scale.\n"
        "- A note of the table.\n"
        "- toy/quick: a note"
    )


def test_at_the_papers_scale_the_difference_may_be_read_as_one(build, tmp_path):
    markdown = render_markdown(build_report(build("full"), "toy", tmp_path))
    assert "- Δ is ours minus published.\n" in markdown
    assert "no verdict" not in markdown
    assert "stand-in" not in markdown


def test_every_number_says_where_it_comes_from(markdown, build):
    lines = paragraph(markdown, "| Cell").splitlines()[2:]
    rows = [[entry.strip() for entry in line.strip("|").split("|")] for line in lines]
    wide, deep, quick = build("toy", seeds=2).cells
    assert [row[:5] for row in rows] == [
        ["toy/wide", "trained", f"`{wide.evaluations[0].run_key}`", "0", "70.00"],
        ["toy/wide", "trained", f"`{wide.evaluations[1].run_key}`", "1", "72.00"],
        ["toy/deep", "pending", "", "", ""],
        ["toy/quick", "pending", f"`{quick.evaluations[0].run_key}`", "0", "50.00"],
    ]


def test_settings_stand_under_their_origin(markdown):
    def values(title):
        lines = markdown.split(f"### {title}\n\n")[1].split("\n\n")[0].splitlines()[2:]
        return [[e.strip() for e in line.strip("|").split("|")] for line in lines]

    assert ["`head.channels`", "`16`", "a guess"] in values("Assumed: the source does not say")
    assert ["`recipe.lr`", "`0.25`", "section 4"] in values("Stated by the source")
    changed = [row[:2] for row in values("Changed by the preset")]
    assert changed == [["`backbone.width`", "`4`"], ["`recipe.iterations`", "`7`"]]


def test_a_run_outside_git_says_so(build, finish, tmp_path):
    experiment = build("toy")
    finish(experiment.cells[0].evaluations[0], 0.5, {"code": {"commit": None, "modified": None}})
    text = render_markdown(build_report(experiment, "toy", tmp_path))
    assert "unknown (not a git checkout)" in text


def test_uncommitted_changes_are_told(build, finish, tmp_path):
    experiment = build("toy")
    code = {"code": {"commit": "a" * 40, "modified": True}}
    finish(experiment.cells[0].evaluations[0], 0.5, code)
    text = render_markdown(build_report(experiment, "toy", tmp_path))
    assert "`aaaaaaaaaaaa` with uncommitted changes" in text


def test_the_form_of_the_evaluations_is_told_where_it_is_not_the_plain_one(build, finish, tmp_path):
    experiment = build("toy")
    for form, told in (("plain", False), ("optimised", True)):
        finish(experiment.cells[0].evaluations[0], 0.5, form=form)
        report = build_report(experiment, "toy", tmp_path)
        assert ("Evaluated in the optimised form" in render_markdown(report)) is told
    assert report.cells[0].runs[0].evaluated_on == "cpu, optimised form"


def test_values_chosen_by_the_tables_own_cells_are_listed(markdown):
    """A reader must be able to rebuild each run from the report alone: recipe.lr of `quick`."""
    assert "0.5" in [
        entry.strip(" `")
        for line in markdown.split("## What the numbers rest on")[1].splitlines()
        if line.startswith("| `recipe.lr`")
        for entry in line.split("|")
    ]


def test_a_report_that_is_read_again_gives_the_same_text():
    """JSON has its keys sorted; the order of the datasets is the table's."""
    agreement = {"cells": 3, "spearman": 1.0, "low": None, "high": None}
    names = ("streets", "rooms")
    made = a_report(
        [a_cell(f"all/{name}", dataset=name, source="pending") for name in names],
        rank_agreement=dict.fromkeys(names, agreement),
    )
    text = render_markdown(made)
    assert text.index("order on `streets`") < text.index("order on `rooms`")
    assert render_markdown(Report.model_validate(json.loads(json_of(made)))) == text


@pytest.fixture
def judged(build, finish, rules, tmp_path):
    """At preset `full` with one seed: one cell far off, one without a published number."""
    experiment = build("full")
    wide, deep, _ = experiment.cells
    finish(wide.evaluations[0], 0.65)
    finish(deep.evaluations[0], 0.65)
    return render_markdown(build_report(experiment, "toy", tmp_path, rules))


def test_at_the_papers_scale_a_verdict_stands_beside_each_difference(judged):
    header, _, first, second = paragraph(judged, "| Kind").splitlines()
    assert [entry.strip() for entry in header.strip("|").split("|")] == [
        *("Kind", "A published", "ours", "Δ", "verdict", "B published", "ours", "Δ", "verdict")
    ]
    assert [entry.strip() for entry in first.strip("|").split("|")] == [
        *("first", "70.00", "65.00", "-5.00", "not reproduced", "", "65.00", "", "not comparable")
    ]
    assert [entry.strip() for entry in second.strip("|").split("|")] == [
        *("second", "60.50", "pending", "", "", "", "", "", "")
    ]
    assert "| 1 not reproduced, 1 not comparable; 1 without a result" in judged


def test_the_section_of_verdicts_gives_what_each_rests_on(judged):
    section = judged.split("## Verdicts\n\n")[1].split("\n\n## ")[0]
    assert "(../docs/verdicts.md)" in section
    rows = [
        [entry.strip() for entry in line.strip("|").split("|")] for line in section.splitlines()
    ]
    assert ["Cell", "Verdict", "Δ", "Interval", "Margin", "Seeds", "Spread", "Remark"] in rows
    wide = ["toy/wide", "not reproduced", "-5.00", "-5.79 to -4.21", "1.00", "1", "0.30"]
    assert [*wide, "ours is worse by more than the margin"] in rows


def test_at_another_preset_no_verdict_is_printed(markdown):
    assert "erdicts" not in markdown
    assert "| verdict" not in markdown
