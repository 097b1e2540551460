"""Whether a result is what its own manifest says, before its bytes are given to anyone."""

from __future__ import annotations

from pathlib import Path

from pipeline import paths
from pipeline.inspection.verify.findings import Findings
from pipeline.inspection.verify.results import verify_prediction
from pipeline.inspection.verify.runs import verify_config, verify_evaluation, verify_files
from pipeline.results.schemas import Counted, Timed, Weights


def damage(outs: list[str], root: Path = Path(".")) -> list[str]:
    """What does not fit in one entry's files, a line each; empty: they are whole.

    A run's by the hashes of its train.json, an evaluation's by its run and its own counts, label
    maps by their manifest's hashes, a measurement's by its schema. Whether data or parents are
    others by now is not asked: that is no damage of this result.
    """
    findings = Findings(root)
    with findings.reading(outs[0], findings.todo(outs[0], "delete the file and run again")):
        _verify(findings, outs)
    return findings.wrong


def _verify(findings: Findings, outs: list[str]) -> None:
    kind, key, *rest = outs[0].split("/")
    if kind == paths.PREDICTIONS:
        verify_prediction(findings, outs[0])
    elif kind in paths.MEASUREMENTS:
        schema = Counted if kind == paths.COUNTS else Timed
        findings.json(outs[0], "delete the file and run again", schema=schema)
    elif rest[0] == paths.EVALUATIONS:
        manifest = paths.trained_of(outs[0])
        trained = findings.json(
            manifest, findings.todo(manifest, f"delete {manifest}"), schema=Weights
        )
        if trained is not None:
            verify_evaluation(findings, outs[0], key, kind, trained)
    else:
        verify_files(findings, kind, key)
        verify_config(findings, kind, key)
