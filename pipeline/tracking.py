"""MLflow: every finished run with its parameters, curves, results and tags.

The only module that imports mlflow. Ingestion reads the files of `runs/` and is idempotent: a run
is found by its key and weights, and what MLflow already holds is not written again.

Released checkpoints are runs with the tag `dmnet.source` = released.

The one setting is MLflow's own: MLFLOW_TRACKING_URI (default sqlite:///mlflow.db, artifacts in
mlartifacts/). A password in it is neither printed nor recorded.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from dmnet.files import read_json
from dmnet.training.history import read_history
from pipeline.dvc_entries import dvc_hash
from pipeline.errors import RecordError
from pipeline.experiments import Evaluation, Experiment, Release, Run
from pipeline.results import metric_value

DEFAULT_URI = "sqlite:///mlflow.db"
EXPERIMENT_NAME = "dmnet"
RECORD_REVISION = "2"  # raise it when ingestion writes more than it did
Point = tuple[str, float, int]  # metric, value, step
BATCH = 900  # MLflow takes at most 1000 metrics in one call


def ingest(experiment: Experiment, keys: set[str], root: Path = Path(".")) -> str:
    """Write what MLflow does not have yet of the runs `keys`; returns one line for people.

    `experiment` has all tables, so that a run's tags name every cell that it serves.
    Raises RecordError when the store cannot be reached or written.
    """
    everything: list[Run | Release] = [*experiment.runs.values(), *experiment.releases.values()]
    finished = [
        run
        for run in everything
        if run.key in keys and (root / _folder(run) / "train.json").exists()
    ]
    if not finished:
        return "MLflow: no finished run to record"
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # A server that is down must not hold the workflow for minutes: the record can be made later.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment_id = _experiment_id(client, root)
        known = _known_runs(client, experiment_id)
        written = sum(
            _ingest_run(client, experiment_id, known, experiment, run, root) for run in finished
        )
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = _without_secrets(str(error), uri).splitlines()[0][:200]
        raise RecordError(
            f"MLflow at {_without_password(uri)}: {reason}; the runs are unharmed, give "
            "`python -m pipeline record` when it is back"
        ) from error
    return f"MLflow: {len(finished)} finished runs, {written} newly recorded or brought up to date"


def _without_password(uri: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(uri)
    return uri.replace(f":{parts.password}@", ":***@") if parts.password else uri


def _without_secrets(text: str, uri: str) -> str:
    """The text of an error, which may quote the address, without passwords."""
    from urllib.parse import unquote, urlsplit

    written = urlsplit(uri).password
    secrets = {written, unquote(written) if written else None}
    secrets |= {os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("PASSWORD", "TOKEN")}
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text or "no reason given"


def _folder(run: Run | Release) -> str:
    return f"{'runs' if isinstance(run, Run) else 'released'}/{run.key}"


def _experiment_id(client: Any, root: Path) -> str:
    found = client.get_experiment_by_name(EXPERIMENT_NAME)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if "MLFLOW_TRACKING_URI" not in os.environ:
        location = (root / "mlartifacts").resolve().as_uri()
    return str(client.create_experiment(EXPERIMENT_NAME, artifact_location=location))


def _known_runs(client: Any, experiment_id: str) -> dict[tuple[str, str | None], Any]:
    """(key, weights) -> MLflow run. Other weights of one key, from other data or another machine,
    are a run of their own: their numbers must never mix."""
    known: dict[tuple[str, str | None], Any] = {}
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        for run in page:
            key = run.data.tags.get("dmnet.key")
            if key:
                known[key, run.data.tags.get("dmnet.weights_sha256")] = run
        token = page.token
        if not token:
            return known


def _ingest_run(
    client: Any,
    experiment_id: str,
    known: dict[tuple[str, str | None], Any],
    experiment: Experiment,
    run: Run | Release,
    root: Path,
) -> bool:
    """Whether anything was written. The tag `dmnet.record` is set last, so a break is repaired."""
    from mlflow.entities import Metric, Param, RunTag

    folder = root / _folder(run)
    trained = read_json(folder / "train.json")
    evaluations = [e for (key, _), e in experiment.evaluations.items() if key == run.key]
    results = {e.name: read_json(root / e.path) for e in evaluations if (root / e.path).exists()}
    tags = _tags(experiment, run, trained, root)
    record = f"{RECORD_REVISION}:{trained['weights']['sha256'][:16]}:{','.join(sorted(results))}"
    weights = str(trained["weights"]["sha256"])
    old = known.get((run.key, weights)) or known.get((run.key, None))
    if old is not None and old.data.tags.get("dmnet.record") == record:
        changed = {k: v for k, v in tags.items() if old.data.tags.get(k) != v}
        if changed:
            client.log_batch(old.info.run_id, tags=[RunTag(k, v) for k, v in changed.items()])
        return bool(changed)
    if old is None:
        tags["mlflow.runName"] = run.label
        identity = {"dmnet.key": run.key, "dmnet.weights_sha256": weights}
        run_id = client.create_run(experiment_id, tags=identity).info.run_id
        present: set[tuple[str, int]] = set()
    else:
        run_id = old.info.run_id
        present = _present_points(client, old)
    last, known_points = _points(folder, evaluations, results)
    known_points += _cell_points(experiment, run, results, last)
    points = [p for p in known_points if (p[0], p[2]) not in present]
    metrics = [Metric(name, value, 0, step) for name, value, step in points]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    parameters = _flatten(run.job.run.model_dump(mode="json"))
    if old is not None:
        parameters = {k: v for k, v in parameters.items() if k not in old.data.params}
    client.log_batch(run_id, params=[Param(k, v) for k, v in parameters.items()])
    client.log_batch(run_id, tags=[RunTag(k, v) for k, v in tags.items()])
    for name, result in results.items():
        table = _per_class(run, result)
        client.log_table(run_id, table, f"per_class_iou/{name}-{result['weights_sha256'][:8]}.json")
    client.log_artifact(run_id, str(folder / "config.json"))
    client.log_artifact(run_id, str(folder / "train.json"))
    made_by = {"environment": trained.get("environment"), "code": trained.get("code")}
    client.log_dict(run_id, made_by, "environment.json")
    client.set_tag(run_id, "dmnet.record", record)
    client.set_terminated(run_id)
    return True


def _tags(
    experiment: Experiment, run: Run | Release, trained: dict[str, Any], root: Path
) -> dict[str, str]:
    code, is_run = trained["code"], isinstance(run, Run)
    cells = {cell.id: cell for cell in experiment.cells}
    served = [cells[name] for name in run.cells if name in cells]
    checkpoint = trained.get("checkpoint") or {}
    tags = {
        "dmnet.key": run.key,
        "dmnet.cells": ", ".join(run.cells),
        "dmnet.tables": ", ".join(dict.fromkeys(cell.split("/")[0] for cell in run.cells)),
        "dmnet.rows": "; ".join(dict.fromkeys(cell.row for cell in served)),
        "dmnet.columns": "; ".join(dict.fromkeys(cell.column for cell in served)),
        "dmnet.preset": experiment.preset_name,
        "dmnet.dataset": run.job.dataset.name,
        "dmnet.seed": str(run.job.run.seed) if isinstance(run, Run) else None,
        "dmnet.source": "trained" if is_run else "released",
        "dmnet.checkpoint": checkpoint.get("file"),
        "dmnet.verified": checkpoint.get("verified"),
        "dmnet.dvc": dvc_hash(run.key, root) if is_run else None,
        "dmnet.commit": str(code["commit"]) + (" modified" if code["modified"] else ""),
        "dmnet.device": trained["environment"]["device"]["name"],
        "dmnet.weights_sha256": trained["weights"]["sha256"],
        "dmnet.data_fingerprint": trained["data_fingerprint"],
    }
    # MLflow's limit is 8000 characters; the cells of a run stand in its config, too.
    return {name: str(value)[:5000] for name, value in tags.items() if value not in (None, "")}


def _points(
    folder: Path, evaluations: list[Evaluation], results: dict[str, dict[str, Any]]
) -> tuple[int, list[Point]]:
    """The last iteration; the curves by iteration and the final results at the last one."""
    last, points = 0, []
    for row in read_history(folder / "history.jsonl"):
        last = row["iteration"]
        for name, value in row.items():
            if name != "iteration":
                metric = f"train/{name}" if name != "val_miou" else name
                points.append((metric, float(value), last))
    for evaluation in evaluations:
        result = results.get(evaluation.name)
        if result is None:
            continue
        prefix = f"final/{evaluation.name}"
        for name in ("miou", "pixel_accuracy", "majority_class_miou"):
            points.append((f"{prefix}/{name}", float(result[name]), last))
        for index, value in enumerate(result["per_class_iou"]):
            if value is not None:
                points.append((f"{prefix}/iou/class_{index:03d}", float(value), last))
    return last, points


def _cell_points(
    experiment: Experiment, run: Run | Release, results: dict[str, dict[str, Any]], last: int
) -> list[Point]:
    """`cell/<table>/<cell>/ours` and `/published`, in percent as the tables print them."""
    points = []
    for cell in experiment.cells:
        for evaluation in cell.measured:
            result = results.get(evaluation.name)
            if evaluation.run_key != run.key or result is None:
                continue
            pair = {"ours": metric_value(cell, result), "published": cell.spec.published}
            for name, value in pair.items():
                if value is not None:
                    points.append((f"cell/{cell.id}/{name}", float(value), last))
    return points


def _present_points(client: Any, run: Any) -> set[tuple[str, int]]:
    return {
        (name, metric.step)
        for name in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, name)
    }


def _per_class(run: Run | Release, result: dict[str, Any]) -> dict[str, list[Any]]:
    classes = run.job.dataset.classes
    return {"class": list(classes), "iou": list(result["per_class_iou"])}


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
