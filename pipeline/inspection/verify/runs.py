"""Runs and imported checkpoints: configuration, weights, history, start weights, evaluations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dmnet.config import EvaluationConfig, JobConfig, ReleaseJob, content_hash, parse, parse_job
from dmnet.errors import ConfigError
from pipeline import paths
from pipeline.inspection.verify.findings import Findings, at
from pipeline.results.run_status import is_training
from pipeline.results.schemas import Evaluated, Released, Trained

KEY = re.compile(paths.KEY)


def verify_runs(findings: Findings, kind: str) -> None:
    """All finished ones of `runs/` or `released/`; one that is being trained is left alone."""
    for folder in sorted((findings.root / kind).glob("*")):
        if KEY.fullmatch(folder.name) and folder.is_dir():
            if is_training(folder.name, findings.root):
                findings.missing(paths.run(folder.name, kind), "it is being trained")
            elif findings.there(path := paths.trained(folder.name, kind)):
                todo = findings.todo(path, f"delete {path} and run again")
                with findings.reading(path, todo):
                    _verify_run(findings, kind, folder.name)
            elif any(folder.glob(f"{paths.EVALUATIONS}/*.json")):
                _no_manifest(findings, kind, folder.name)


def _no_manifest(findings: Findings, kind: str, key: str) -> None:
    path = paths.trained(key, kind)
    findings.lost(path, "evaluations", f"`snakemake {path}` makes it again")


def _verify_run(findings: Findings, kind: str, key: str) -> None:
    findings.checked["finished runs" if kind == paths.RUNS else "released checkpoints"] += 1
    trained = verify_files(findings, kind, key)
    if trained is None:
        return
    job = verify_config(findings, kind, key)
    if isinstance(job, ReleaseJob):
        _verify_checkpoint(findings, key, trained)
    elif job is not None:
        _verify_start(findings, key, job.run.parent, job.run.model.backbone.weights, trained)
        _verify_fingerprint(findings, paths.trained(key), job.dataset.name, trained)
    for evaluation in sorted(findings.root.glob(paths.evaluation(key, "*", kind))):
        path = paths.evaluation(key, evaluation.stem, kind)
        with findings.reading(path, findings.todo(path, "delete the file and run again")):
            result = verify_evaluation(findings, path, key, kind, trained)
            if kind == paths.RELEASED and result is not None:
                name = parse(EvaluationConfig, result["evaluation"], path).data.name
                _verify_fingerprint(findings, path, name, result)


def verify_files(findings: Findings, kind: str, key: str) -> dict[str, Any] | None:
    """The run's own files by the hashes of its manifest, which is returned if it is one."""
    run, manifest = paths.run(key, kind), paths.trained(key, kind)
    again = findings.todo(manifest, f"delete {manifest} and run again")
    schema = Trained if kind == paths.RUNS else Released
    trained: dict[str, Any] | None = findings.json(manifest, again, schema=schema)
    if trained is None:
        return None
    findings.same(manifest, "key", key, trained.get("key"), again)
    finished = f"{run}/{paths.FINISHED}"
    if findings.there(finished):
        todo = findings.todo(finished, f"delete {finished} and {manifest}, and run again")
        if findings.json(finished, todo) not in (None, trained):
            findings.add(finished, f"the content of {paths.TRAINED}", "other content", todo)
    for name, label in (("weights", "weights files"), ("history", "histories")):
        entry = trained.get(name)
        if not isinstance(entry, dict):
            if name == "weights" or kind == paths.RUNS:
                findings.add(manifest, f"an entry `{name}`", "none", again)
            continue
        path = f"{run}/{Path(str(entry.get('file'))).name}"  # never outside the run's folder
        if findings.there(path):
            findings.hashed(path, entry.get("sha256"), label, again)
        else:
            findings.lost(path, manifest, again)
    findings.by_one_code(manifest, trained)
    return trained


def verify_config(findings: Findings, kind: str, key: str) -> JobConfig | ReleaseJob | None:
    """The configuration, which gives the key, if it is one."""
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


def _verify_start(
    findings: Findings, key: str, parent: str | None, weights: Any, trained: dict[str, Any]
) -> None:
    run, start = paths.trained(key), trained.get("start_weights")
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
        if findings.there(path):
            todo = f"`python -m dmnet fetch --config {paths.config(key)}` brings the right file"
            findings.hashed(path, start, "start weights", todo)
        else:
            todo = f"`python -m dmnet fetch --config {paths.config(key)}` brings it"
            findings.missing(path, todo)
    elif start is not None:
        findings.same(run, "start weights", None, start, again)


def _verify_checkpoint(findings: Findings, key: str, trained: dict[str, Any]) -> None:
    named = at(trained, "checkpoint")
    checkpoint = named if isinstance(named, dict) else {}
    path = f"weights/{Path(str(checkpoint.get('file'))).name}"
    todo = f"`python -m pipeline fetch {checkpoint.get('name')}` brings it"
    if findings.there(path):
        findings.hashed(path, checkpoint.get("sha256"), "published files", f"delete it; {todo}")
    else:
        findings.missing(path, todo)


def _verify_fingerprint(
    findings: Findings, path: str, dataset: str, content: dict[str, Any]
) -> None:
    """The data that lie here now are those that the file was made with."""
    manifest = paths.data_manifest(dataset)
    if not findings.there(manifest):
        findings.missing(manifest, f"`snakemake {manifest}` prepares it")
        return
    now = at(findings.json(manifest, "delete it and prepare the dataset again"), "fingerprint")
    todo = f"restore the earlier data, or delete {path} and run again"
    findings.same(path, f"the data of {manifest}:", now, content.get("data_fingerprint"), todo)


def verify_evaluation(
    findings: Findings, path: str, key: str, kind: str, trained: dict[str, Any]
) -> dict[str, Any] | None:
    """Of these weights, by the protocol in its name, and with numbers that its counts give.

    Returns its content if it is a result.
    """
    todo = findings.todo(path, "delete the file and run again")
    result: dict[str, Any] | None = findings.json(path, todo, schema=Evaluated)
    if result is None:
        return None
    findings.checked["evaluations"] += 1
    findings.by_one_code(path, result)
    findings.same(path, "run", key, result.get("run"), todo)
    weights = at(trained, "weights", "sha256")
    findings.same(path, "weights", weights, result.get("weights_sha256"), todo)
    try:
        config = parse(EvaluationConfig, result.get("evaluation") or {}, path)
    except ConfigError as error:
        findings.add(path, "a protocol of this version of the code", str(error), todo)
        return None
    digest = content_hash(config)
    findings.same(path, "protocol", digest, result.get("evaluation_hash"), todo)
    findings.same(path, "protocol", digest[:8], Path(path).stem.rpartition("-")[2], todo)
    if kind == paths.RUNS:
        data = trained.get("data_fingerprint")
        findings.same(path, "data", data, result.get("data_fingerprint"), todo)
    for name, expected in _recounted(result).items():
        findings.same(path, f"{name} by its confusion matrix", expected, result.get(name), todo)
    return result


def _recounted(result: dict[str, Any]) -> dict[str, Any]:
    """What the confusion matrix gives; equal counts give equal numbers."""
    import numpy as np

    from dmnet.inference.metrics import ConfusionMatrix

    try:
        counts = np.array(result["confusion_matrix"], dtype=np.int64)
        summary = ConfusionMatrix(counts).summary()
    except (KeyError, TypeError, ValueError, IndexError, ArithmeticError, RuntimeError):
        return {"confusion_matrix": "whole numbers, a row and a column per class"}
    return {name: value for name, value in summary.items() if name != "confusion_matrix"}
