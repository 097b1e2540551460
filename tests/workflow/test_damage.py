"""Damaged weights are noticed by their SHA-256 and never measured."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("unrecorded")


@pytest.fixture
def damaged(small, tmp_path):
    """A finished run whose weights.pt changed by one byte, and whose evaluation is to be made."""
    clone = small.copy(tmp_path / "clone")
    key = sorted(clone.weights())[0]
    clone.flip_a_byte(clone.path / "runs" / key / "weights.pt")
    clone.forget(f"runs/{key}/evaluations", "reports")
    return clone, key


def test_the_evaluation_refuses_damaged_weights(damaged):
    clone, key = damaged
    result = clone.snakemake("reports/three.md")
    assert result.code != 0
    assert f"error: runs/{key}/weights.pt: damaged" in result.text
    assert f"delete runs/{key}/train.json and run again" in result.text
    assert "Traceback" not in result.text
    assert not list((clone.path / "runs" / key).glob("evaluations/*.json"))
    assert clone.leftovers() == []


def test_what_the_message_advises_trains_the_same_weights_again(damaged, small):
    clone, key = damaged
    (clone.path / "runs" / key / "train.json").unlink()
    result = clone.snakemake("reports/three.md")
    assert result.code == 0, result.text
    assert "weights.pt: damaged (its SHA-256 differs); training again" in result.text
    assert clone.weights() == small.weights()
    assert clone.read("reports/three.json") == small.read("reports/three.json")


def test_a_finished_run_that_lost_its_manifest_is_verified_and_not_trained_again(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    key = sorted(clone.weights())[0]
    (clone.path / "runs" / key / "train.json").unlink()
    clone.forget("reports")
    before = (clone.path / "runs" / key / "weights.pt").stat().st_mtime_ns
    result = clone.snakemake("reports/three.md")
    assert result.code == 0, result.text
    assert clone.read("reports/three.json") == small.read("reports/three.json")
    assert "finished earlier, weights verified: nothing to train" in result.text
    assert (clone.path / "runs" / key / "weights.pt").stat().st_mtime_ns == before


def test_a_result_of_other_weights_never_reaches_a_report(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    (key, other) = sorted(clone.weights())[:2]
    (path,) = (clone.path / "runs" / key / "evaluations").glob("*.json")
    path.write_text((clone.path / "runs" / other / "evaluations" / path.name).read_text())
    clone.forget("reports")
    result = clone.snakemake("reports/three.md")
    assert result.code != 0
    assert f"error: runs/{key}/evaluations/{path.name}: is of another run" in result.text
    assert "Traceback" not in result.text
