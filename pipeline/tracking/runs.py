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
from pipeline import paths
from pipeline.dvc.entries import weights_md5
from pipeline.errors import RecordError
from pipeline.experiments import Experiment, Release, Run
from pipeline.results.cells import metric_value, read_evaluated
from pipeline.results.files import read_curve, read_result_file
from pipeline.results.made_by import code_marks
from pipeline.results.schemas import Evaluated, File, Predicted, Released, Trained

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
        """Changes with all that MLflow is told, except the tags, which are compared one by one."""
        content = [RECORD_REVISION, self.points, self.params, self.tables]
        return sha256_bytes(to_json(content).encode())[:16]


def folder_of(run: Run | Release) -> str:
    return paths.run(run.key, paths.RUNS if isinstance(run, Run) else paths.RELEASED)


def read_finished(experiment: Experiment, run: Run | Release, root: Path) -> TrackedRun:
    """Raises DMNetError for a result that cannot be read, or whose curve is not its manifest's."""
    folder = root / folder_of(run)
    schema: type[Trained] | type[Released] = Trained if isinstance(run, Run) else Released
    trained = read_result_file(folder / paths.TRAINED, schema)
    _check_history(folder, trained.history)
    results = {
        e.name: read_evaluated(e, root)
        for (key, _), e in experiment.evaluations.items()
        if key == run.key and (root / e.path).exists()
    }
    points = _curve(folder)
    last = points[-1][2] if points else 0
    points += _final_points(results, last)
    points += _cell_points(experiment, run, results, last)
    classes = list(run.job.dataset.classes)
    tables: dict[str, dict[str, list[Any]]] = {}
    for name, found in results.items():
        path = f"per_class_iou/{name}-{found.weights_sha256[:8]}.json"
        tables[path] = {"class": classes, "iou": found.per_class_iou}
    return TrackedRun(
        run,
        folder,
        trained.weights.sha256,
        _tags(experiment, run, trained, root),
        tuple(points),
        _flatten(run.job.run.model_dump(mode="json")),
        tables,
    )


def _check_history(folder: Path, named: File | None) -> None:
    """Raises RecordError for a damaged one: points in MLflow are never taken back."""
    history = folder / paths.HISTORY
    try:
        fits = named is None or not history.exists() or sha256_file(history) == named.sha256
    except OSError as error:
        raise RecordError(f"{history}: cannot be read ({reason(error)}); restore it") from error
    if not fits:
        raise RecordError(f"{history}: damaged (not of the SHA-256 in {paths.TRAINED}); restore it")


def read_training(experiment: Experiment, run: Run, root: Path) -> TrackedRun:
    """A run that has only a curve so far."""
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
    images: list[Path] = []
    for manifest in sorted(root.glob(paths.prediction(key, "*"))):
        content = read_result_file(manifest, Predicted)
        if content.weights_sha256 == weights:
            images += [manifest.with_suffix("") / name for name in sorted(content.files)]
    return [path for path in images if path.is_file()][:count]


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
    experiment: Experiment, run: Run | Release, trained: Trained | Released, root: Path
) -> dict[str, str]:
    code, place = trained.code, trained.environment  # None for a checkpoint that others trained
    marks = code_marks(f"{folder_of(run)}/{paths.TRAINED}", trained)
    checkpoint = trained.checkpoint if isinstance(trained, Released) else None
    return _place(experiment, run) | _cut(
        {
            "dmnet.state": "finished",
            "dmnet.checkpoint": checkpoint and checkpoint.file,
            "dmnet.verified": checkpoint and checkpoint.verified,
            "dmnet.dvc": weights_md5(folder_of(run), root),
            "dmnet.commit": code and f"{code.commit}{' modified' if code.modified else ''}",
            "dmnet.more_than_one_code": "; ".join(marks) or None,
            "dmnet.device": place and place.device.name,
            "dmnet.weights_sha256": trained.weights.sha256,
            "dmnet.data_fingerprint": (
                trained.data_fingerprint if isinstance(trained, Trained) else None
            ),
        }
    )


def _cut(tags: dict[str, Any]) -> dict[str, str]:
    return {
        name: str(value)[:TAG_LENGTH] for name, value in tags.items() if value not in (None, "")
    }


def _curve(folder: Path) -> list[Point]:
    return [
        (name if name == "val_miou" else f"train/{name}", float(value), row.iteration)
        for row in read_curve(folder)
        for name, value in row.model_dump(exclude={"iteration"}, exclude_none=True).items()
    ]


def _final_points(results: dict[str, Evaluated], last: int) -> list[Point]:
    points = []
    for name, result in results.items():
        values = {
            "miou": result.miou,
            "pixel_accuracy": result.pixel_accuracy,
            "majority_class_miou": result.majority_class_miou,
        }
        classes = enumerate(result.per_class_iou)
        values |= {f"iou/class_{index:03d}": value for index, value in classes}
        points += [(f"final/{name}/{key}", v, last) for key, v in values.items() if v is not None]
    return points


def _cell_points(
    experiment: Experiment, run: Run | Release, results: dict[str, Evaluated], last: int
) -> list[Point]:
    """`cell/<table>/<cell>/ours` and `/published`, in percent as the tables print them."""
    points = []
    for cell in experiment.cells:
        for evaluation in cell.measured:
            result = results.get(evaluation.name)
            if evaluation.run_key != run.key or result is None:
                continue
            pair = {"ours": metric_value(cell, result), "published": cell.spec.published}
            told = {name: value for name, value in pair.items() if value is not None}
            points += [(f"cell/{cell.id}/{name}", value, last) for name, value in told.items()]
    return points


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
