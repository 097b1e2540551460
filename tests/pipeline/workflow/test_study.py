"""What the Snakefile gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dmnet.config import EvaluationConfig, content_hash
from pipeline.records.unrecorded import unrecorded
from pipeline.workflow import Study

HEAVY = ("torch", "numpy", "scipy", "matplotlib")


def test_parsing_the_workflow_imports_nothing_heavy():
    code = f"import sys, pipeline.workflow; print([m for m in {HEAVY} if m in sys.modules])"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_the_workflow_can_form_the_prediction_job():
    study = Study({})
    submission = study.jobs.submission("table7")
    name = f"predictions/{submission.run_key}/{submission.name}.json"
    assert submission.predictions == name
    job = EvaluationConfig.model_validate_json(
        study.jobs.prediction_json(submission.run_key, submission.name)
    )
    assert content_hash(job) == content_hash(submission.config)
    data = study.inputs.of_result(name, ancient=str)["data"]
    assert data == "data/voc2012-test-procedural/manifest.json"
    assert study.hashes.dataset("voc2012-test-procedural")


def test_a_record_that_a_workflow_owes_is_said_where_nothing_is_left_to_do(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "params").symlink_to(Path("params").absolute())
    monkeypatch.chdir(tmp_path)
    Study({}).begin([])  # and is killed before it has recorded
    again = Study({})
    capsys.readouterr()
    again.end()
    said = capsys.readouterr().out
    assert "`python -m pipeline record --preset mini --seeds 1` records them" in said
    for after in ("--preset mini --seeds 2", again.options):  # of other runs; as `record` does
        unrecorded(after).unlink(missing_ok=True)
        again.end()
        assert ("records them" in capsys.readouterr().out) == (after != again.options)
    again.begin([])  # there is something to do: it records itself
    again.end()
    assert "records them" not in capsys.readouterr().out
