"""Reports name the code that trained and evaluated, and mark what more than one code made."""

from __future__ import annotations

import pytest

from pipeline.errors import ResultError
from pipeline.inspection.status import render_status
from pipeline.inspection.verify import verify
from pipeline.reports.build import build_report
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.model.base import json_of
from pipeline.results.schemas import MadeBy


def code(letter, modified=False, **changes):
    """A record as dmnet/checkout.py gives it; equal letters are equal code."""
    digest = letter * 64 if modified else None
    return {
        **{"commit": letter * 40, "modified": modified, "diff_sha256": digest, "reason": None},
        **{"sha256": letter * 64, "changed": False},
        **changes,
    }


def attempts(*codes):
    return [{"from": 5 * n, "to": 5 * n + 5, "code": made} for n, made in enumerate(codes)]


@pytest.fixture
def told(build, finish, tmp_path):
    """The report of `toy` with one finished cell: its content, and its text."""

    def make(trained=None, **metrics):
        experiment = build("toy")
        made = {"code": code("c"), **(trained or {})}
        finish(experiment.cells[0].evaluations[0], 0.5, made, **metrics)
        report = build_report(experiment, "toy", tmp_path)
        return report, render_markdown(report), experiment

    return make


def test_one_code_for_all_is_named_once_and_nothing_is_marked(told):
    one = code("c")
    plain = told()[1]
    trained = {"code": one, "attempts": attempts(one, one)}
    assert told(trained, code=one)[1] == plain
    assert "Evaluated at commit" not in plain and "More than one code" not in plain


def test_results_from_before_it_was_recorded_are_read(told, tmp_path):
    report, text, _ = told({"code": {"commit": "c" * 40, "modified": False}})
    assert report.code == [MadeBy(commit="c" * 40, modified=False)]
    assert not report.measured_by and "measured_by" not in json_of(report)
    assert "Evaluated at" not in text


def test_attempts_of_different_code_are_all_named_and_marked(told, tmp_path):
    first, second = code("a", modified=True), code("b")
    report, text, experiment = told({"code": second, "attempts": attempts(first, second)})
    assert [made.commit[0] for made in report.code] == ["a", "b"]
    assert "`aaaaaaaaaaaa` with uncommitted changes (SHA-256 `aaaaaaaaaaaa`)" in text
    path = f"runs/{experiment.cells[0].evaluations[0].run_key}/train.json"
    mark = (
        f"{path}: its attempts had different code (iterations 0 to 5 by `aaaaaaaaaaaa` with "
        "uncommitted changes (SHA-256 `aaaaaaaaaaaa`), iterations 5 to 10 by `bbbbbbbbbbbb`); "
        f"delete {path} and {path.replace('train', 'finished')}, and run again to have it by one "
        "code"
    )
    assert f"- **More than one code:** {mark}\n" in text
    assert f"more than one code: {mark}" in render_status(experiment, tmp_path)
    assert mark in verify(tmp_path, quick=True).noted


def test_another_commit_with_the_same_files_is_named_but_not_marked(told):
    other = code("b", sha256="a" * 64)
    report, text, _ = told({"code": other, "attempts": attempts(code("a"), other)})
    assert len(report.code) == 2 and "More than one code" not in text


def test_an_attempt_that_recorded_no_code_is_marked(told):
    _, text, _ = told({"code": code("b"), "attempts": attempts(None, code("b"))})
    assert "iterations 0 to 5 by unrecorded code, iterations 5 to 10 by `bbbbbbbbbbbb`" in text


def test_files_that_changed_while_it_trained_or_was_evaluated_are_marked(told):
    changed = code("c", changed=True)
    _, text, _ = told({"code": changed, "attempts": attempts(changed)}, code=changed)
    marks = [line for line in text.splitlines() if "More than one code" in line]
    assert len(marks) == 2 and all("files of dmnet/ changed while" in line for line in marks)


def test_the_commit_that_evaluated_is_named_where_it_is_another(told):
    """An edited and reverted evaluation left every number under a clean commit."""
    report, text, _ = told(code=code("c", modified=True))
    (made,) = report.measured_by
    assert (made.modified, made.cells) == (True, ["toy/wide"])
    row = next(line for line in text.splitlines() if "Evaluated at commit" in line)
    assert "`cccccccccccc` with uncommitted changes (SHA-256 `cccccccccccc`)" in row


def test_of_several_evaluators_each_names_its_cells(build, finish, tmp_path):
    experiment = build("toy")
    for cell, letter in zip(experiment.cells, "abb", strict=True):
        finish(cell.evaluations[0], 0.5, {"code": code("a")}, code=code(letter))
    text = render_markdown(build_report(experiment, "toy", tmp_path))
    assert "`aaaaaaaaaaaa`: toy/wide; `bbbbbbbbbbbb`: toy/deep, toy/quick" in text


def test_an_unknown_commit_says_why(told):
    reason = "git: detected dubious ownership in repository; run git config"
    _, text, _ = told({"code": code("c", commit=None, modified=None, reason=reason)})
    assert f"| unknown ({reason})" in text


def test_a_reason_in_a_colleagues_file_cannot_become_markup(told):
    reason = "x](javascript:1) <script> `|` ** # Title"
    _, text, _ = told({"code": code("c", commit=None, reason=reason)})
    (row,) = (line for line in text.splitlines() if "Trained at" in line)
    assert not set("<>`[]*#") & set(row) and row.count("|") == 3


@pytest.mark.parametrize("commit", ["--output=params/verdicts.yaml", "HEAD", "C" * 40, 7, ["a"]])
def test_what_is_no_commit_is_refused(told, commit, tmp_path):
    with pytest.raises(ResultError, match=r"`code\.commit` = .*run again"):
        told({"code": code("c", commit=commit)})
