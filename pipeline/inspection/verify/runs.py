"""Runs and imported checkpoints: configuration, weights, history, start weights, evaluations."""

from __future__ import annotations

import re
from pathlib import Path

from dmnet.config import EvaluationConfig, JobConfig, ReleaseJob, content_hash, parse, parse_job
from dmnet.errors import ConfigError
from pipeline import paths
from pipeline.inspection.verify.findings import Findings
from pipeline.results.made_by import code_marks
from pipeline.results.run_status import is_training
from pipeline.results.schemas import Evaluated, Released, Trained

KEY = re.compile(paths.KEY)
MANIFESTS: dict[str, type[Trained | Released]] = {paths.RUNS: Trained, paths.RELEASED: Released}


def verify_runs(findings: Findings, kind: str) -> None:
    """All finished ones of `runs/` or `released/`; one that is being trained is left alone."""
    for folder in sorted((findings.root / kind).glob("*")):
        if KEY.fullmatch(folder.name) and folder.is_dir():
            if is_training(folder.name, findings.root):
                findings.missing(paths.run(folder.name, kind), "it is being trained")
            elif (folder / paths.TRAINED).exists():
                _verify_run(findings, kind, folder.name)
            elif any(folder.glob(f"{paths.EVALUATIONS}/*.json")):
                path = paths.trained(folder.name, kind)
                findings.lost(path, "evaluations", f"`snakemake {path}` makes it again")


def _verify_run(findings: Findings, kind: str, key: str) -> None:
    findings.checked["finished runs" if kind == paths.RUNS else "released checkpoints"] += 1
    trained = verify_files(findings, kind, key)
    if trained is None:
        return
    job = verify_config(findings, kind, key)
    if isinstance(trained, Released):
        file = trained.checkpoint
        todo = f"`python -m pipeline fetch {file.name}` brings it"
        path, again = f"weights/{file.file}", f"delete it; {todo}"
        if not findings.hashed(path, file.sha256, "published files", again):
            findings.missing(path, todo)
    elif isinstance(job, JobConfig):
        _verify_start(findings, key, job, trained.start_weights)
        manifest = paths.trained(key)
        _verify_fingerprint(findings, manifest, job.dataset.name, trained.data_fingerprint)
    for evaluation in sorted(findings.root.glob(paths.evaluation(key, "*", kind))):
        path = paths.evaluation(key, evaluation.stem, kind)
        measured = verify_evaluation(findings, path, key, trained)
        if measured is not None and isinstance(trained, Released):
            result, protocol = measured
            _verify_fingerprint(findings, path, protocol.data.name, result.data_fingerprint)


def verify_files(findings: Findings, kind: str, key: str) -> Trained | Released | None:
    """Check the run's own files by its manifest; returns that, or None if it is damaged."""
    run, manifest = paths.run(key, kind), paths.trained(key, kind)
    again = findings.todo(manifest, f"delete {manifest} and run again")
    trained = findings.result(manifest, again, MANIFESTS[kind])
    if trained is None:
        return None
    findings.same(manifest, "key", key, trained.key, again)
    finished = f"{run}/{paths.FINISHED}"
    if findings.there(finished):
        todo = findings.todo(finished, f"delete {finished} and {manifest}, and run again")
        if findings.result(finished, todo, MANIFESTS[kind]) not in (None, trained):
            findings.add(finished, f"the content of {paths.TRAINED}", "other content", todo)
    for label, entry in (("weights files", trained.weights), ("histories", trained.history)):
        if entry is None:
            if kind == paths.RUNS:
                findings.add(manifest, "an entry `history`", "none", again)
            continue
        path = f"{run}/{entry.file}"
        if not findings.hashed(path, entry.sha256, label, again):
            findings.lost(path, manifest, again)
    findings.noted += code_marks(manifest, trained)
    return trained


def verify_config(findings: Findings, kind: str, key: str) -> JobConfig | ReleaseJob | None:
    """The configuration, checked against the key; None if it does not fit."""
    path = paths.config(key, kind)
    todo = findings.todo(path, "delete it, Snakemake writes it anew")
    if not findings.there(path):
        findings.lost(path, "its folder", f"`snakemake {path}`")
        return None
    content = findings.json(path, todo)
    if content is None:
        return None
    try:
        job = parse_job(content, path)
    except ConfigError as error:
        findings.add(path, "a configuration of this version of the code", str(error), todo)
        return None
    findings.checked["configurations"] += 1
    findings.same(path, "key", key, job.run.key, todo)
    return job


def _verify_start(findings: Findings, key: str, job: JobConfig, start: str | None) -> None:
    parent, weights = job.run.parent, job.run.model.backbone.weights
    run = paths.trained(key)
    fetch = f"`python -m dmnet fetch --config {paths.config(key)}`"
    again = f"delete {run} and run again"
    if parent is not None:
        path = paths.trained(parent)
        if not findings.there(path):
            findings.lost(path, run, f"`snakemake {path}` trains it again")
            return
        findings.checked["start weights"] += 1
        parents = findings.weights_of(path)
        findings.same(run, f"the weights of its parent {parent}:", parents, start, again)
    elif weights is not None:
        path = f"weights/{Path(weights.file).name}"
        todo = f"{fetch} brings the right file"
        if not findings.hashed(path, start, "start weights", todo):
            findings.missing(path, f"{fetch} brings it")
    elif start is not None:
        findings.same(run, "start weights", None, start, again)


def _verify_fingerprint(findings: Findings, path: str, dataset: str, found: str) -> None:
    """The data that lie here now are those that the file was made with."""
    manifest = paths.data_manifest(dataset)
    if not findings.there(manifest):
        findings.missing(manifest, f"`snakemake {manifest}` prepares it")
        return
    now = findings.json(manifest, "delete it and prepare the dataset again") or {}
    todo = f"restore the earlier data, or delete {path} and run again"
    findings.same(path, f"the data of {manifest}:", now.get("fingerprint"), found, todo)


def verify_evaluation(
    findings: Findings, path: str, key: str, trained: Trained | Released
) -> tuple[Evaluated, EvaluationConfig] | None:
    """Whether weights and protocol are these, and the numbers follow from the counts.

    Returns its content and its protocol if it is a result of this version.
    """
    todo = findings.todo(path, "delete the file and run again")
    result = findings.result(path, todo, Evaluated)
    if result is None:
        return None
    findings.checked["evaluations"] += 1
    findings.noted += code_marks(path, result)
    findings.same(path, "run", key, result.run, todo)
    findings.same(path, "weights", trained.weights.sha256, result.weights_sha256, todo)
    try:
        config = parse(EvaluationConfig, result.evaluation, path)
    except ConfigError as error:
        findings.add(path, "a protocol of this version of the code", str(error), todo)
        return None
    digest = content_hash(config)
    findings.same(path, "protocol", digest, result.evaluation_hash, todo)
    findings.same(path, "protocol", digest[:8], Path(path).stem.rpartition("-")[2], todo)
    if isinstance(trained, Trained):
        findings.same(path, "data", trained.data_fingerprint, result.data_fingerprint, todo)
    _verify_numbers(findings, path, result, todo)
    return result, config


def _verify_numbers(findings: Findings, path: str, result: Evaluated, todo: str) -> None:
    """Equal counts give equal numbers."""
    import numpy as np

    from dmnet.inference.metrics import ConfusionMatrix

    matrix = result.confusion_matrix
    if not matrix or any(len(row) != len(matrix) for row in matrix):
        expected = "whole numbers, a row and a column per class"
        findings.same(path, "confusion_matrix by its confusion matrix", expected, matrix, todo)
        return
    counted = ConfusionMatrix(np.array(matrix, dtype=np.int64)).summary()
    numbers = {
        "miou": result.miou,
        "per_class_iou": result.per_class_iou,
        "pixel_accuracy": result.pixel_accuracy,
        "majority_class_miou": result.majority_class_miou,
    }
    for name, number in numbers.items():
        findings.same(path, f"{name} by its confusion matrix", counted[name], number, todo)
