"""Computes every hash again, from the reports down to the data, and names what does not fit.

    reports/  ->  runs/<key>/evaluations/  ->  train.json  ->  weights.pt, history.jsonl
              ->  released/, predictions/, counts/, speed/      parents, data/<name>/, weights/
    runs/<key>.dvc  ->  the run's files, DVC's local cache

It goes by the files that lie here, whatever preset they are of. Nothing is changed.
"""

from __future__ import annotations

from pathlib import Path

from pipeline import paths
from pipeline.inspection.verify.findings import Findings
from pipeline.inspection.verify.records import verify_records
from pipeline.inspection.verify.reports import verify_reports
from pipeline.inspection.verify.results import verify_data, verify_measurements, verify_predictions
from pipeline.inspection.verify.runs import verify_runs


def verify(root: Path = Path("."), quick: bool = False) -> Findings:
    """Check all that lies in `root`, the current directory's `params/` being its parameters.

    quick: the images of the datasets are not read.
    """
    findings = Findings(root)
    verify_reports(findings)
    verify_runs(findings, paths.RUNS)
    verify_runs(findings, "released")
    verify_predictions(findings)
    verify_measurements(findings)
    verify_data(findings, quick)
    verify_records(findings)
    return findings
