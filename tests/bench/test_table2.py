"""Where a table's seconds went, from what Snakemake and the trainings left behind."""

from __future__ import annotations

import base64
import json

import pytest

from bench.commands import Taken
from bench.peer import BenchError
from bench.table2 import breakdown, phases, render


@pytest.fixture
def folder(tmp_path):
    metadata = tmp_path / ".snakemake" / "metadata"
    metadata.mkdir(parents=True)
    jobs = [("runs/a/train.json", "train", 10), ("runs/b/train.json", "train", 20)]
    for output, rule, seconds in [*jobs, ("reports/table2.md", "report", 3)]:
        record = {"rule": rule, "starttime": 1000.0, "endtime": 1000.0 + seconds}
        (metadata / base64.b64encode(output.encode()).decode()).write_text(json.dumps(record))
    for run, spent in (("a", (6, 1, 0.5)), ("b", (12, 2, 1))):
        text = "seconds of this attempt: iterations {}, validations {}, saving {}\n".format(*spent)
        (tmp_path / "logs" / "runs" / run).mkdir(parents=True)
        (tmp_path / "logs" / "runs" / run / "train.log").write_text(f"12:00:00 [{run}] {text}")
    return tmp_path


def test_a_training_is_its_phases_and_the_rest(folder):
    assert dict(breakdown(folder).seconds) == {
        "train: iterations": 18,
        "train: validations": 3,
        "train: saving": 1.5,
        "train: start and end": 7.5,
        "report": 3,
    }


def test_what_no_job_took_is_the_rest_of_the_cores_time(folder):
    taken = dict.fromkeys(("table", "again", "dry run", "plan"), Taken(20.0, 35.0, 100.0))
    text = render(breakdown(folder), taken, cores=2)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert ["train: iterations", "2", "18.0", "45 %"] in lines
    assert ["Snakemake, MLflow and DVC, idle cores", "", "7.0", "18 %"] in lines
    assert "goal 120 s: within" in text


def test_a_log_without_the_line_is_named(folder):
    (folder / "logs/runs/a/train.log").write_text("killed\n")
    with pytest.raises(BenchError, match=r"logs/runs/a/train\.log: does not say"):
        phases(folder, "runs/a/train.json")
