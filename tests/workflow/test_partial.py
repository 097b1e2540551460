"""A run that fails costs its own cells only; the table says which, and where the log is."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def failed(small_template, tmp_path_factory):
    """Table `three`, whose FCN's loss runs away, made with --keep-going."""
    clone = small_template.copy(tmp_path_factory.mktemp("failed") / "clone")
    clone.replace(
        "params/tables/three.yaml",
        "model: fcn, published",
        "model: fcn, with: {recipe.weight_decay: 1.0e+30}, published",
    )
    clone.record = False
    clone.result = clone.snakemake("--keep-going", "reports/three.md")
    return clone


def row(clone, kind):
    rows = clone.json("reports/partial/three.json")["rows"]
    return next(row for row in rows if row["Kind"] == kind)


def test_snakemake_fails_and_the_other_cells_are_finished(failed):
    assert failed.result.code != 0
    assert row(failed, "Context-aware")["Value"]["source"] == "trained"
    assert row(failed, "Regular")["Value"]["source"] == "trained"


def test_the_failed_cell_names_its_reason_and_a_log_that_is_there(failed):
    job = row(failed, "None")["Value"]["failed"]
    assert "loss" in job["error"]
    assert job["error"] in failed.read(job["log"])
    text = failed.read("reports/partial/three.md")
    assert "three/fcn failed" in text
    assert job["log"] in text
    assert "**partial**: 1 failed, 2 trained" in text


def test_a_partial_table_is_never_taken_for_a_finished_one(failed, tmp_path):
    """Repaired, the same command makes what is missing and the whole table in its own place."""
    clone = failed.copy(tmp_path / "clone")
    assert not (clone.path / "reports/three.md").exists()
    clone.replace("params/tables/three.yaml", "with: {recipe.weight_decay: 1.0e+30}, ", "")
    result = clone.snakemake("reports/three.md")
    assert result.code == 0, result.text
    assert result.jobs == {"train": 1, "evaluate": 1, "report": 1}
    assert "failed" not in clone.read("reports/three.md")
    assert not (clone.path / "reports/partial/three.md").exists()


def test_any_table_can_be_looked_at_at_any_time(small_template, tmp_path):
    """What is rendered by hand, here without a single run, does not keep Snakemake from work.

    In the report's own place it would: Snakemake finds the target and asks no further.
    """
    clone = small_template.copy(tmp_path / "clone")
    assert clone.pipeline("report", "three").code == 0
    assert "**partial**: 3 pending" in clone.read("reports/partial/three.md")
    result = clone.snakemake("-n", "reports/three.md")
    assert result.jobs["report"] == 1


def test_a_report_of_the_rules_is_never_partial(small_template, tmp_path):
    clone = small_template.copy(tmp_path / "clone")
    result = clone.pipeline("report", "three", "--complete")
    assert result.code == 1
    assert "three/ours, three/regular, three/fcn" in result.text
    assert not (clone.path / "reports" / "three.md").exists()
