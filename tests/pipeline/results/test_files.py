"""Files of results pass their schema where they are read, or end in one line."""

from __future__ import annotations

import json
import subprocess

import pytest

from dmnet.errors import DMNetError
from pipeline.errors import ResultError
from pipeline.inspection.stale import changes_since
from pipeline.inspection.status import render_status
from pipeline.reports.build import build_report
from pipeline.reports.markdown.table import render_markdown
from pipeline.results.files import read_result_file
from pipeline.results.schemas import MadeBy, Trained

HTML = "<script>alert(1)</script>"


@pytest.fixture
def trained(build, finish):
    """The path of a finished run's manifest."""
    return finish(build("toy").cells[0].evaluations[0], 0.5).parents[1] / "train.json"


def replace(path, value, *keys):
    content = inner = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("code", "commit"), "--output=precious"),
        (("code", "commit"), "HEAD"),
        (("code", "commit"), "c" * 40 + "\n"),
        (("code", "commit"), HTML),
        (("weights", "sha256"), "5" * 63),
        (("weights", "file"), "../../precious"),
        (("val_miou",), float("nan")),
        (("val_miou",), 1.5),
        (("iterations",), -1),
        (("iterations",), 10**30),
        (("iterations",), "7"),
        (("environment", "device", "type"), HTML),
        (("environment", "device", "name"), "\x1b]0;OWNED\x07"),
        (("an entry of another version",), "\x1b[2J"),
        (("\x1b[2J",), 1),
        (("environment", "platform"), "x" * 5000),
    ],
)
def test_a_value_that_cannot_be_is_one_line_with_the_file(build, trained, tmp_path, keys, value):
    replace(trained, value, *keys)
    with pytest.raises(DMNetError, match=r"train\.json: ") as caught:
        build_report(build("toy"), "toy", tmp_path)
    line = str(caught.value)
    assert line.endswith("run again") and line.isprintable() and len(line) < 400


def test_entries_of_other_versions_are_kept(trained):
    replace(trained, {"more": [1, "text"]}, "added")
    assert read_result_file(trained, Trained).model_extra == {"added": {"more": [1, "text"]}}


def test_a_schema_error_names_key_and_value(trained):
    replace(trained, "--output=x", "code", "commit")
    with pytest.raises(ResultError, match=r"`code\.commit` = '--output=x': .*run again"):
        read_result_file(trained, Trained)


def test_a_commit_is_never_an_option_of_git(report, tmp_path, monkeypatch):
    """Even where a report comes to the comparison without its schema."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "precious").write_text("precious")
    code = MadeBy.model_construct(commit="--output=precious", modified=False)
    report = report.model_copy(update={"code": [code]})
    assert "no commit --output=pre" in " ".join(changes_since(report, tmp_path))
    assert (tmp_path / "precious").read_text() == "precious"


def test_another_repository_in_the_environment_is_not_asked(report, tmp_path, monkeypatch):
    """`GIT_DIR` names one that does not have the commit."""
    (tmp_path / "dmnet").mkdir()
    (tmp_path / "dmnet" / "a.py").write_text("1\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    monkeypatch.chdir(tmp_path)
    for command in (["init", "-q", "other"], ["init", "-q"], ["add", "dmnet"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "a"], check=True)
    found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    code = MadeBy(commit=found.stdout.strip(), modified=False)
    report = report.model_copy(update={"code": [code]})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    told = changes_since(report, tmp_path)
    assert not [line for line in told if "no commit" in line or line.startswith("dmnet/")]


def test_a_name_with_markup_is_shown_as_text(zoo, tmp_path):
    experiment = zoo()
    (speed,) = experiment.speeds
    path = tmp_path / speed.path
    path.parent.mkdir()
    name = f"a | `b` {HTML}"
    content = {"speed": speed.key, "frames_per_second": 1.0, "memory_bytes": 1}
    path.write_text(json.dumps(content | {"device": {"type": "cpu", "name": name}}))
    text = render_markdown(build_report(experiment, "zoo", tmp_path))
    assert r"a \| \`b\` &lt;script&gt;" in text and HTML not in text


def test_a_reason_that_failed_cannot_forge_lines_of_the_status(build, tmp_path):
    experiment = build("toy")
    key = next(iter(experiment.runs))
    mark = tmp_path / "logs/runs" / key / "train.failed.json"
    mark.parent.mkdir(parents=True)
    mark.write_text(json.dumps({"error": "\x1b[2J\nmoved on since nothing"}))
    assert rf"failed: {key}: \x1b[2J moved on" in render_status(experiment, tmp_path)


def test_the_status_names_a_run_whose_manifest_cannot_be(build, trained, tmp_path):
    replace(trained, "--output=x", "code", "commit")
    text = render_status(build("toy"), tmp_path)
    key = trained.parent.name
    assert "1 failed" in text and f"failed: {key}: {trained}: `code.commit` = '--output=x'" in text
