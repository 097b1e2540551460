"""A test server's figures: shown as official beside their run, and only there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dmnet.errors import DMNetError
from pipeline.experiments import build_experiment
from pipeline.inspection.show.lineage import render_show
from pipeline.reports.build import build_report
from pipeline.reports.markdown.table import render_markdown
from pipeline.spec.params import Params
from pipeline.workflow.hashes import Hashes

URL = "http://host.robots.ox.ac.uk:8080/anonymous/ABC.html"
ENTRY = """\
results:
  - {table: toy, run: RUN, source: URL, date: 2026-01-31, values: {wide: 68.25}}
"""


@pytest.fixture
def official(folder, edit, build):
    """Enter a figure for the run of `wide` at preset `full`; keyword: replaced texts."""
    edit(
        "tables/toy.yaml",
        "columns:",
        "submission: {cell: wide, dataset: test, member: a}\ncolumns:",
    )
    (folder / "datasets/test.yaml").write_text(
        "title: Test\nlayout: voc2012_test\nclasses: [nothing, thing]\nsplits: {test: test}\n"
    )
    key = build().cells[0].evaluations[0].run_key

    def write(text=ENTRY, run=key):
        (folder / "official.yaml").write_text(text.replace("RUN", run).replace("URL", URL))
        return build()

    return write


@pytest.fixture
def report(official, finish, rules, tmp_path):
    """The report with an entry, where `wide` was measured as 71.25."""

    def write(*arguments, **options):
        experiment = official(*arguments, **options)
        finish(experiment.cells[0].evaluations[0], 0.7125)
        return build_report(experiment, "toy", tmp_path, rules)

    return write


def test_the_cell_shows_the_official_figure_and_keeps_the_measured_one(report):
    cell = report().cells[0]
    assert (cell.source, cell.ours, cell.difference) == ("official", 68.25, -1.75)
    assert cell.official.source == URL
    assert cell.official.date == "2026-01-31"
    assert [run.value for run in cell.runs] == [71.25]


def test_the_report_marks_it_and_says_where_it_comes_from(report):
    content = report()
    text = render_markdown(content)
    assert "68.25 (official)" in text
    origins = text.split("## Where each number comes from")[1]
    rows = [line for line in origins.splitlines() if line.startswith("| toy/wide")]
    assert len(rows) == 2
    assert all(words in rows[0] for words in ("official", URL, "2026-01-31", "68.25"))
    assert all(words in rows[1] for words in ("trained, measured here", "71.25"))
    assert content.notes[-1].startswith("Numbers marked (official) were given for run")


def test_cells_without_a_figure_stay_as_measured(report):
    sources = [cell.source for cell in report().cells]
    assert sources == ["official", "pending", "pending"]


def test_a_figure_of_another_run_is_not_shown_but_told(report):
    content = report(run="0123456789abcdef")
    cell = content.cells[0]
    assert (cell.source, cell.ours, cell.official) == ("trained", 71.25, None)
    note = content.notes[-1]
    assert "`0123456789abcdef`" in note
    assert "not shown: they are for another run" in note


def test_a_figure_of_other_weights_of_the_run_is_not_shown_but_told(report):
    content = report(ENTRY.replace("source:", "weights: 'ffffffffffff', source:"))
    assert content.cells[0].source == "trained"
    assert "they are for weights `ffffffffffff`" in content.notes[-1]


def test_a_figure_that_names_the_runs_weights_is_shown(report, official):
    key = official().cells[0].evaluations[0].run_key
    content = report(ENTRY.replace("source:", f"weights: '{key}', source:"))
    assert content.cells[0].source == "official"


def test_without_the_file_nothing_is_official(report, build, finish, rules, tmp_path, folder):
    content = report()
    (folder / "official.yaml").unlink()
    content = build_report(build(), "toy", tmp_path, rules)
    assert content.cells[0].source == "trained"
    assert content.notes == ["A note of the table."]


def test_show_tells_both_numbers(official, finish, tmp_path):
    experiment = official()
    finish(experiment.cells[0].evaluations[0], 0.7125)
    text = render_show(experiment, "toy/wide", tmp_path)
    assert URL in text
    assert "68.25" in text
    assert "71.25" in text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("table: toy", "table: tox", "unknown table 'tox'"),
        ("table: toy", "table: ../toy", "unknown table '../toy'"),
        ("table: toy", "table: twin", "twin has no `submission`"),
        ("{wide: 68.25}", "{wid: 68.25}", "unknown cell 'wid' of toy; expected one of wide"),
        ("{wide: 68.25}", "{wide: '68.25'}", "wide` = '68.25'"),
        ("{wide: 68.25}", "{wide: true}", "wide` = True"),
        ("{wide: 68.25}", "{wide: 100.5}", "wide` = 100.5"),
        ("{wide: 68.25}", "{wide: -0.5}", "wide` = -0.5"),
        ("{wide: 68.25}", "{wide: .nan}", "wide` = nan"),
        ("{wide: 68.25}", "{}", "values` = {}"),
        ("date: 2026-01-31", "date: 2026", "date` = 2026: expected a date"),
        ("date: 2026-01-31", "date: soon", "date` = 'soon'"),
        ("run: RUN", "run: mine", "run` = 'mine'"),
        ("source: URL", "source: the server", "source` = 'the server'"),
        ("source: URL", "sauce: URL", "unknown key `results.0.sauce`"),
        ("results:", "result:", "unknown key `result`"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_the_file(official, folder, old, new, words):
    with pytest.raises(DMNetError) as caught:
        official(ENTRY.replace(old, new))
    assert str(caught.value).startswith(f"{folder / 'official.yaml'}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_figures_for_one_number_are_refused(official):
    with pytest.raises(DMNetError, match=r"toy/wide of run [0-9a-f]{16} stands twice"):
        official(ENTRY + ENTRY.removeprefix("results:\n"))


def test_a_reports_hash_follows_its_own_entries(official, build, folder):
    def hashes(experiment):
        hashes = Hashes(SimpleNamespace(experiment=experiment), "--preset full")
        return [hashes.report(table) for table in ("toy", "twin")]

    def both():
        return build_experiment("full", 1, ("toy", "twin"), Params(folder))

    before = hashes(both())
    official()
    toy, twin = hashes(both())
    assert toy != before[0]
    assert twin == before[1]
    official(ENTRY.replace("68.25", "68.5"))
    assert hashes(both())[0] != toy
