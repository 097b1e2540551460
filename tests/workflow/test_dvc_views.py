"""What DVC's own commands answer here: repro, params, metrics and plots."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import REPOSITORY


@pytest.fixture
def clone(small, tmp_path):
    """A clone whose dvc.yaml has the table `three` in the place of Table 9."""
    clone = small.copy(tmp_path / "clone")
    clone.write("dvc.yaml", clone.read("dvc.yaml").replace("table9", "three"))
    return clone


def dvc(clone, *arguments, **environment):
    result = clone.call(sys.executable, "-m", "dvc", *arguments, **environment)
    assert result.code == 0, result.text
    return result.text


def last_json(text):
    return json.loads(text[text.index("{") :])


def test_every_table_and_every_file_of_params_is_named():
    named = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())
    params = {
        path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("params/**/*.yaml")
    }
    assert set(named["params"]) == params
    tables = {path.stem for path in REPOSITORY.glob("params/tables/*.yaml")}
    assert {Path(path).stem for path in named["metrics"]} == tables
    titles = {title for plot in named["plots"] for title in plot}
    assert {f"{table}: published and ours" for table in tables} <= titles
    assert {f"{table}: validation mIoU" for table in tables - {"table3"}} <= titles


def test_repro_makes_a_lost_report_again_and_deletes_no_run(clone):
    clone.forget("reports")
    weights = clone.weights()
    times = {path: path.stat().st_mtime_ns for path in clone.path.glob("runs/[0-9a-f]*/*")}
    text = dvc(clone, "repro", ARGS="reports/three.md --config preset=tiny")
    assert "Writing reports/three.md" in text
    assert clone.weights() == weights
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert "Nothing to be done" in dvc(clone, "repro", ARGS="reports/three.md --config preset=tiny")


def test_repro_trains_what_is_missing_and_records_it(clone):
    lost = sorted(clone.weights())[0]
    expected = clone.weights()
    clone.forget(f"runs/{lost}", "reports")
    (clone.path / "runs" / f"{lost}.dvc").unlink()
    dvc(clone, "repro", ARGS="reports/three.md --config preset=tiny")
    assert clone.weights() == expected
    assert (clone.path / "runs" / f"{lost}.dvc").exists(), "recorded while DVC runs the stage"


def test_params_diff_names_the_setting_that_changed(clone):
    clone.replace("params/presets/mini.yaml", "recipe.lr: 0.15", "recipe.lr: 0.25")
    changes = last_json(dvc(clone, "params", "diff", "--json"))["params/presets/mini.yaml"]
    assert list(changes.values()) == [{"old": 0.15, "new": 0.25, "diff": pytest.approx(0.1)}]


def test_metrics_show_and_diff_tell_published_ours_and_what_changed(clone):
    path = "reports/metrics/three.json"
    shown = last_json(dvc(clone, "metrics", "show", "--json"))[""]["data"][path]["data"]["ours"]
    entry = clone.json("reports/three.json")["rows"][0]["Value"]
    assert shown == {
        "published": 78.21,
        "ours": entry["ours"],
        "difference": pytest.approx(entry["ours"] - 78.21, abs=0.01),
    }
    clone.git("add", "-f", path, "dvc.yaml")
    clone.git("commit", "-q", "-m", "reports")
    metrics = clone.json(path)
    metrics["ours"]["ours"] += 1.5
    clone.write(path, json.dumps(metrics))
    changes = last_json(dvc(clone, "metrics", "diff", "--json"))[path]
    assert changes["ours.ours"]["diff"] == pytest.approx(1.5)


def test_plots_show_has_the_curves_and_published_against_ours(clone):
    rows = list(csv.DictReader((clone.path / "reports/metrics/three-curves.csv").open()))
    key = rows[0]["run"]
    history = [json.loads(line) for line in clone.read(f"runs/{key}/history.jsonl").splitlines()]
    losses = [float(row["loss"]) for row in rows if row["run"] == key and row["cell"] == "ours"]
    assert losses == [row["loss"] for row in history if "loss" in row]
    text = dvc(clone, "plots", "show", "--json")
    plots = last_json(text)["data"]
    curves = plots["three: validation mIoU"][0]["content"]
    values = curves["data"]["values"]
    assert {row["cell"] for row in values} == {"ours", "regular", "fcn"}
    assert curves["encoding"]["color"]["field"] == "cell"
    assert "three: published and ours" in plots and "three: training loss" in plots
    dvc(clone, "plots", "show", "-o", "shown")
    assert "validation mIoU" in clone.read("shown/index.html")
