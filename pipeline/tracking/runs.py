"""What MLflow is told of one run, from the files in `runs/<key>`: tags, points, parameters, tables.

Knows nothing of MLflow itself. Nothing here depends on the machine that records, so that whoever
records a run says the same of it; only `system_points` are of the machine that trained it.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmnet.files import MAX_BYTES, read_bounded, sha256_bytes, sha256_file, to_json
from dmnet.text import reason
from dmnet.training.history import read_history
from pipeline import paths
from pipeline.dvc.entries import weights_md5
from pipeline.errors import RecordError
from pipeline.experiments import Evaluation, Experiment, Release, Run
from pipeline.results.made_by import code_marks
from pipeline.results.of_cells import metric_value
from pipeline.results.schemas import Evaluated, Predicted, Released, Trained, read_result_file

RECORD_REVISION = "3"  # raise it when more is told than before
TAG_LENGTH = 5000  # MLflow's limit is 8000; all cells of a run stand in its configuration, too
Point = tuple[str, float, int]  # metric, value, step


@dataclass(frozen=True)
class TrackedRun:
    """A run as it lies in `folder`. `weights` is None while it trains."""

    run: Run | Release
    folder: Path
    weights: str | None
    tags: dict[str, str]
    points: tuple[Point, ...]
    params: dict[str, str]
    tables: dict[str, dict[str, list[Any]]]  # artifact path -> its columns

    @property
    def digest(self) -> str:
        """Changes with everything told but the tags, which are compared one by one."""
        content = [RECORD_REVISION, self.points, self.params, self.tables]
        return sha256_bytes(to_json(content).encode())[:16]


def folder_of(run: Run | Release) -> str:
    return paths.run(run.key, paths.RUNS if isinstance(run, Run) else paths.RELEASED)


def read_finished(experiment: Experiment, run: Run | Release, root: Path) -> TrackedRun:
    """Raises DMNetError for a result that cannot be read, or whose curve is not its manifest's."""
    folder = root / folder_of(run)
    schema = Trained if isinstance(run, Run) else Released
    trained = read_result_file(folder / paths.TRAINED, schema)
    _check_history(folder, trained.get("history"))
    evaluations = [e for (key, _), e in experiment.evaluations.items() if key == run.key]
    results = {
        e.name: read_result_file(root / e.path, Evaluated)
        for e in evaluations
        if (root / e.path).exists()
    }
    points = _curve(folder)
    last = points[-1][2] if points else 0
    points += _final_points(evaluations, results, last)
    points += _cell_points(experiment, run, results, last)
    tables = {
        f"per_class_iou/{name}-{result['weights_sha256'][:8]}.json": _per_class(run, result)
        for name, result in results.items()
    }
    return TrackedRun(
        run,
        folder,
        str(trained["weights"]["sha256"]),
        _tags(experiment, run, trained, root),
        tuple(points),
        _flatten(run.job.run.model_dump(mode="json")),
        tables,
    )


def _check_history(folder: Path, named: dict[str, Any] | None) -> None:
    """Raises RecordError for a damaged one: points in MLflow are never taken back."""
    history = folder / paths.HISTORY
    try:
        fits = named is None or not history.exists() or sha256_file(history) == named["sha256"]
    except OSError as error:
        raise RecordError(f"{history}: cannot be read ({reason(error)}); restore it") from error
    if not fits:
        raise RecordError(f"{history}: damaged (not of the SHA-256 in {paths.TRAINED}); restore it")


def read_training(experiment: Experiment, run: Run, root: Path) -> TrackedRun:
    """A run of which there is only the curve so far."""
    folder = root / folder_of(run)
    parameters = _flatten(run.job.run.model_dump(mode="json"))
    tags = _place(experiment, run) | {"dmnet.state": "training"}
    return TrackedRun(run, folder, None, tags, tuple(_curve(folder)), parameters, {})


def system_points(key: str, root: Path) -> list[Point]:
    """Time, memory and load of the training job, as Snakemake measured them where it ran."""
    names = {
        **{"s": "seconds", "max_rss": "peak_memory_mib", "mean_load": "cpu_percent"},
        **{"io_in": "read_mib", "io_out": "written_mib"},
    }
    try:
        text = read_bounded(root / paths.benchmark(key), MAX_BYTES).decode()
        rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    except (OSError, ValueError, csv.Error):
        return []
    points: list[Point] = []
    for column, name in names.items():
        try:
            value = float(rows[-1][column])
            points += [(f"system/{name}", value, 0)] if math.isfinite(value) else []
        except (IndexError, KeyError, TypeError, ValueError):
            continue  # not measured: a job of a moment, or another system
    return points


def predicted_images(key: str, weights: str, root: Path, count: int = 8) -> list[Path]:
    """The first predicted label maps of these weights that a figure asked for."""
    found: list[Path] = []
    for manifest in sorted(root.glob(paths.prediction(key, "*"))):
        content = read_result_file(manifest, Predicted)
        if content["weights_sha256"] == weights:
            found += [manifest.with_suffix("") / name for name in sorted(content["files"])]
    return [path for path in found if path.is_file()][:count]


def _place(experiment: Experiment, run: Run | Release) -> dict[str, str]:
    """Where the run stands in the tables, by which MLflow groups and filters."""
    cells = {cell.id: cell for cell in experiment.cells}
    served = [cells[name] for name in run.cells if name in cells]
    return _cut(
        {
            "dmnet.key": run.key,
            "dmnet.cells": ", ".join(run.cells),
            "dmnet.tables": ", ".join(dict.fromkeys(cell.split("/")[0] for cell in run.cells)),
            "dmnet.rows": "; ".join(dict.fromkeys(cell.row for cell in served)),
            "dmnet.columns": "; ".join(dict.fromkeys(cell.column for cell in served)),
            "dmnet.preset": experiment.preset_name,
            "dmnet.dataset": run.job.dataset.name,
            "dmnet.seed": str(run.job.run.seed) if isinstance(run, Run) else None,
            "dmnet.source": "trained" if isinstance(run, Run) else "released",
        }
    )


def _tags(
    experiment: Experiment, run: Run | Release, trained: dict[str, Any], root: Path
) -> dict[str, str]:
    code = trained.get("code")  # None for a checkpoint that others trained
    commit = f"{code['commit']}{' modified' if code['modified'] else ''}" if code else None
    marks = code_marks(f"{folder_of(run)}/{paths.TRAINED}", trained)
    checkpoint = trained.get("checkpoint") or {}
    return _place(experiment, run) | _cut(
        {
            "dmnet.state": "finished",
            "dmnet.checkpoint": checkpoint.get("file"),
            "dmnet.verified": checkpoint.get("verified"),
            "dmnet.dvc": weights_md5(folder_of(run), root),
            "dmnet.commit": commit,
            "dmnet.more_than_one_code": "; ".join(marks) or None,
            "dmnet.device": ((trained.get("environment") or {}).get("device") or {}).get("name"),
            "dmnet.weights_sha256": trained["weights"]["sha256"],
            "dmnet.data_fingerprint": trained.get("data_fingerprint"),
        }
    )


def _cut(tags: dict[str, Any]) -> dict[str, str]:
    return {
        name: str(value)[:TAG_LENGTH] for name, value in tags.items() if value not in (None, "")
    }


def _curve(folder: Path) -> list[Point]:
    points = []
    for row in read_history(folder / paths.HISTORY):
        for name, value in row.items():
            if name != "iteration":
                metric = f"train/{name}" if name != "val_miou" else name
                points.append((metric, float(value), int(row["iteration"])))
    return points


def _final_points(
    evaluations: list[Evaluation], results: dict[str, dict[str, Any]], last: int
) -> list[Point]:
    points = []
    for evaluation in evaluations:
        result = results.get(evaluation.name)
        if result is None:
            continue
        prefix = f"final/{evaluation.name}"
        for name in ("miou", "pixel_accuracy", "majority_class_miou"):
            if result.get(name) is not None:
                points.append((f"{prefix}/{name}", float(result[name]), last))
        for index, value in enumerate(result.get("per_class_iou") or ()):
            if value is not None:
                points.append((f"{prefix}/iou/class_{index:03d}", float(value), last))
    return points


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


def _per_class(run: Run | Release, result: dict[str, Any]) -> dict[str, list[Any]]:
    classes, values = run.job.dataset.classes, result.get("per_class_iou") or ()
    if len(values) != len(classes):
        raise RecordError(
            f"{folder_of(run)}: an evaluation has {len(values)} values for {len(classes)} classes; "
            "delete it and run again"
        )
    return {"class": list(classes), "iou": list(values)}


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
