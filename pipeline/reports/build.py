"""The machine-readable report of a table: every cell, its origin, and what it rests on.

It is built from the results and params alone, without times or places, so equal results give
equal bytes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.experiments import Cell, Experiment, settings_with_origin
from pipeline.experiments.cells import CountedCell, TimedCell, TrainedCell
from pipeline.reports.claims.bold import bold_places
from pipeline.reports.ranking import rank_agreements
from pipeline.reports.verdict import Rules, Verdict, judge
from pipeline.results.cells import CellResult, read_cell, weights_of
from pipeline.results.made_by import code_notes, measured_by, trained_by
from pipeline.results.schemas import Timed
from pipeline.results.trained_on import in_words, trained_on
from pipeline.spec.official import official_notes
from pipeline.spec.settings import ORIGINS, part_of
from pipeline.spec.tables import DEFAULTS, CellSpec


def build_report(
    experiment: Experiment, table: str, root: Path = Path("."), rules: Rules | None = None
) -> dict[str, Any]:
    """JSON-ready; `rules` of the verdicts are needed at judged presets only.

    Raises ResultError when a result does not belong to its cell, SpecError when a rule lacks.
    """
    spec = experiment.tables[table]
    cells = experiment.cells_of(table)
    results = {cell.name: read_cell(cell, experiment, root) for cell in cells}
    contents = {
        name: _cell(result, judge(result, experiment, rules)) for name, result in results.items()
    }
    measured, marks = measured_by(results.values()), code_notes(results.values())
    return {
        "table": table,
        "title": spec.title,
        "source": spec.source,
        "decimals": spec.decimals,
        "column_decimals": spec.column_decimals,
        "unit": spec.unit,
        "preset": {
            "name": experiment.preset_name,
            "title": experiment.preset.title,
            "judged": experiment.preset.judged,
            "shows": experiment.preset.shows,
        },
        "seeds": experiment.seeds,
        # Nothing is, where only released checkpoints are evaluated.
        "trains": any(isinstance(cell, TrainedCell | CountedCell) for cell in cells),
        "datasets": _datasets(cells, results),
        "devices": _devices(results),
        "code": [code.model_dump() for code in trained_by(results.values())],
        **({"measured_by": [code.model_dump() for code in measured]} if measured else {}),
        "columns": list(spec.columns),
        "rows": [
            {
                column: contents[entry.cell] if isinstance(entry, CellSpec) else entry
                for column, entry in row.items()
                if column != DEFAULTS
            }
            for row in spec.rows
        ],
        "settings": {
            origin: _settings(cells, (origin,)) for origin in (*ORIGINS, "table", "preset")
        },
        "not_comparable": spec.defaults.not_comparable,
        **({"bold": bold_places(spec)} if spec.bold else {}),
        "notes": [*spec.notes, *_official_notes(experiment, table, results), *marks],
        "same_weights": _same_weights(results),
        "rank_agreement": rank_agreements(list(contents.values())),
    }


def cells_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells of a report, in reading order."""
    return [
        row[column]
        for row in report["rows"]
        for column in report["columns"]
        if isinstance(row.get(column), dict)
    ]


def decimals_of(report: dict[str, Any], column: str) -> int:
    """The places that the source prints in this column."""
    return int(report.get("column_decimals", {}).get(column, report["decimals"]))


def is_bold(report: dict[str, Any], row: dict[str, Any], column: str) -> bool:
    """Whether the source prints this row's label or published number in bold."""
    return any(
        report["rows"][index] is row and key == column for index, key in report.get("bold", [])
    )


def count_sources(report: dict[str, Any]) -> Counter[str]:
    """How many cells there are of each source."""
    return Counter(cell["source"] for cell in cells_of(report))


def _cell(result: CellResult, verdict: Verdict | None) -> dict[str, Any]:
    cell = result.cell
    return {
        "cell": cell.id,
        "dataset": cell.published_dataset,
        "published": cell.spec.published,
        "ours": result.ours,
        "spread": result.spread,
        "difference": result.difference,
        "verdict": verdict.as_json() if verdict else None,
        "source": result.source,
        "official": _official(result),
        "profile": cell.job.key if isinstance(cell, CountedCell) else None,
        "speed": cell.job.key if isinstance(cell, TimedCell) else None,
        "metric": cell.spec.measure,
        "note": cell.spec.note,
        "failed": asdict(result.failed_job) if result.failed_job else None,
        "released": _released(result),
        "runs": [
            {
                "run": run.evaluation.run_key,
                "seed": seed,
                "evaluation": run.evaluation.name,
                "value": run.value,
                "iterations": run.trained.iterations,
                "weights_sha256": run.trained.weights.sha256,
                "commit": run.trained.code.commit,
                "modified": run.trained.code.modified,
                "trained_on": trained_on(run.trained),
                "processes": run.trained.processes,
                "evaluated_on": run.measured_on,
            }
            for seed, run in enumerate(result.runs)
        ],
    }


def _released(result: CellResult) -> dict[str, Any] | None:
    """What the source's own checkpoint gives, and which file that is."""
    if result.released is None:
        return None
    value, published = result.released.value, result.cell.spec.published
    difference = None if value is None or published is None else round(value - published, 2)
    file = result.released.trained.checkpoint
    return {
        "value": value,
        "difference": difference,
        "run": result.released.evaluation.run_key,
        "evaluation": result.released.evaluation.name,
        "weights_sha256": result.released.metrics.weights_sha256,
        "evaluated_on": result.released.measured_on,
        "checkpoint": file.name,
        "file": file.file,
        "file_sha256": file.sha256,
        "verified": file.verified,
    }


def _devices(results: dict[str, CellResult]) -> list[str]:
    """What speed and memory were measured on, in words; several after a change of machine."""
    made = (result.measurement for result in results.values())
    return sorted({device_text(timed) for timed in made if isinstance(timed, Timed)})


def device_text(timed: Timed) -> str:
    """Such as "cpu, Xeon, 2 threads (memory: process peak RSS)"."""
    device = timed.device
    parts = [device.type, device.name] if device else ["an unknown device"]
    if device and device.type == "cpu" and device.threads:
        parts.append(f"{device.threads} thread{'' if device.threads == 1 else 's'}")
    name = in_words(", ".join(filter(None, parts)), timed.form, device.tf32 if device else None)
    if timed.config.get("precision") == "amp":
        name += ", mixed precision" if timed.amp else ", float32 for mixed precision"
    return f"{name} (memory: {timed.memory_kind})" if timed.memory_kind else name


def _official(result: CellResult) -> dict[str, Any] | None:
    """Where an official figure comes from; `runs` still holds what was measured here."""
    if result.official is None:
        return None
    entry = result.official.result
    return {"run": entry.run, "source": entry.source, "date": entry.date.isoformat()}


def _official_notes(
    experiment: Experiment, table: str, results: dict[str, CellResult]
) -> list[str]:
    weights: dict[str, str | None] = {}
    for result in results.values():
        weights |= weights_of(result.cell, result.runs)
    return official_notes(experiment.official, table, weights)


def _datasets(cells: list[Cell], results: dict[str, CellResult]) -> list[dict[str, Any]]:
    """Each dataset in the place of a published one, with what predicting one class would score."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in cells:
        if cell.dataset is None or cell.published_dataset is None or not cell.measured:
            continue  # nothing is evaluated on it
        entry = found.setdefault(
            (cell.published_dataset, cell.dataset.name),
            {
                "published": cell.published_dataset,
                "used": cell.dataset.name,
                "title": cell.dataset.title,
                "stand_in": cell.published_dataset != cell.dataset.name,
                "split": cell.measured[0].config.split,
                "fingerprint": None,
                "images": None,
                "majority_class_miou": None,
            },
        )
        for run in results[cell.name].measured:
            entry["fingerprint"] = run.metrics.data_fingerprint
            entry["images"] = run.metrics.images
            entry["majority_class_miou"] = round(100 * run.metrics.majority_class_miou, 2)
    return list(found.values())


def _same_weights(results: dict[str, CellResult]) -> list[list[str]]:
    """Cells of different runs that ended with the same weights: settings that changed nothing."""
    cells: dict[str, dict[str, str]] = {}  # weights -> run key -> cell
    for result in results.values():
        for run in result.runs:
            found = cells.setdefault(run.metrics.weights_sha256, {})
            found.setdefault(run.evaluation.run_key, result.cell.id)
    return [list(runs.values()) for runs in cells.values() if len(runs) > 1]


def _settings(cells: list[Cell], origins: tuple[str, ...]) -> list[dict[str, Any]]:
    """Part by part: of the backbone, of the head ..., of the recipe."""
    chosen = settings_with_origin(cells, origins)
    return [
        {"key": path, "value": setting.value, "source": setting.source}
        for path, settings in sorted(chosen.items(), key=lambda item: part_of(item[0]))
        for setting in settings
    ]
