"""Whether a result is what its own manifest says, before its bytes are given to anyone."""

from __future__ import annotations

from pathlib import Path

from pipeline import paths
from pipeline.inspection.verify.findings import Findings
from pipeline.inspection.verify.results import verify_prediction
from pipeline.inspection.verify.runs import (
    MANIFESTS,
    verify_config,
    verify_evaluation,
    verify_files,
)
from pipeline.results.schemas import Counted, Timed


def damage(outs: list[str], root: Path = Path(".")) -> list[str]:
    """What does not fit in one entry's files, a line each; nothing if they are whole.

    A run's by the hashes of its train.json, an evaluation's by its run and its own counts, label
    maps by their manifest's hashes, a measurement's by its schema. Whether data or parents are
    others by now is not asked: that is no damage of this result.
    """
    findings = Findings(root)
    kind, key, *rest = outs[0].split("/")
    if kind == paths.PREDICTIONS:
        verify_prediction(findings, outs[0])
    elif kind in paths.MEASUREMENTS:
        todo = "delete the file and run again"
        findings.result(outs[0], todo, Counted if kind == paths.COUNTS else Timed)
    elif rest[0] == paths.EVALUATIONS:
        manifest = paths.trained(key, kind)
        todo = findings.todo(manifest, f"delete {manifest}")
        trained = findings.result(manifest, todo, MANIFESTS[kind])
        if trained is not None:
            verify_evaluation(findings, outs[0], key, trained)
    else:
        verify_files(findings, kind, key)
        verify_config(findings, kind, key)
    return findings.wrong
