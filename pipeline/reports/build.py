"""The machine-readable report of a table: every cell, its origin, and what it rests on.

It is built from the results and params alone, without times or places, so equal results give
equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from dmnet.config import describe
from pipeline import paths
from pipeline.errors import ResultError
from pipeline.experiments import Cell, Experiment
from pipeline.experiments.cells import CountedCell, TimedCell, TrainedCell
from pipeline.reports.claims.bold import bold_places
from pipeline.reports.model.base import Preset
from pipeline.reports.model.report import (
    Dataset,
    FailedJob,
    Official,
    Origin,
    ReleasedOfCell,
    Report,
    ReportedCell,
    ReportedSetting,
    Row,
    RunOfCell,
    Verdict,
)
from pipeline.reports.ranking import rank_agreements
from pipeline.reports.verdict import Rules, judge
from pipeline.results.cells import CellResult, RunResult, read_cell, weights_of
from pipeline.results.made_by import code_notes, measured_by, trained_by
from pipeline.results.schemas import Timed, Trained
from pipeline.results.trained_on import in_words, trained_on
from pipeline.spec.official import official_notes
from pipeline.spec.settings import part_of
from pipeline.spec.tables import CellSpec, HowSpec, RowEntry


def build_report(
    experiment: Experiment, table: str, root: Path = Path("."), rules: Rules | None = None
) -> Report:
    """`rules` of the verdicts are needed at judged presets only.

    Raises ResultError when a result does not belong to its cell, SpecError when a rule is missing.
    """
    try:
        return _report(experiment, table, root, rules)
    except ValidationError as error:  # what it says could not be read again
        raise ResultError(f"{paths.report(table, 'json')}: {describe(error)}") from error


def _report(experiment: Experiment, table: str, root: Path, rules: Rules | None) -> Report:
    spec, preset = experiment.tables[table], experiment.preset
    cells = experiment.cells_of(table)
    results = {cell.name: read_cell(cell, experiment, root) for cell in cells}
    reported = {
        name: _cell(result, judge(result, experiment, rules)) for name, result in results.items()
    }
    weights: dict[str, str | None] = {}
    for result in results.values():
        weights |= weights_of(result.cell, result.runs)
    made = [result.measurement for result in results.values()]
    return Report(
        table=table,
        title=spec.title,
        source=spec.source,
        decimals=spec.decimals,
        column_decimals=spec.column_decimals,
        unit=spec.unit,
        preset=Preset(
            name=experiment.preset_name,
            title=preset.title,
            judged=preset.judged,
            shows=preset.shows,
        ),
        seeds=experiment.seeds,
        # Nothing is, where only released checkpoints are evaluated.
        trains=any(isinstance(cell, TrainedCell | CountedCell) for cell in cells),
        datasets=_datasets(cells, results),
        devices=sorted({device_text(timed) for timed in made if isinstance(timed, Timed)}),
        code=trained_by(results.values()),
        measured_by=measured_by(results.values()),
        columns=list(spec.columns),
        rows=[_row(row, reported) for row in spec.rows],
        settings={origin: _settings(cells, origin) for origin in get_args(Origin)},
        not_comparable=spec.defaults.not_comparable,
        bold=bold_places(spec),
        notes=[
            *spec.notes,
            *official_notes(experiment.official, table, weights),
            *code_notes(results.values()),
        ],
        same_weights=_same_weights(results),
        rank_agreement=rank_agreements(list(reported.values())),
    )


def _row(row: Mapping[str, RowEntry], reported: Mapping[str, ReportedCell]) -> Row:
    return {
        column: reported[entry.cell] if isinstance(entry, CellSpec) else entry
        for column, entry in row.items()
        if not isinstance(entry, HowSpec) or isinstance(entry, CellSpec)
    }


def _cell(result: CellResult, verdict: Verdict | None) -> ReportedCell:
    cell, failed, official = result.cell, result.failed_job, None
    if result.official is not None:
        given = result.official.result
        official = Official(run=given.run, source=given.source, date=given.date.isoformat())
    return ReportedCell(
        cell=cell.id,
        dataset=cell.published_dataset,
        published=cell.spec.published,
        ours=result.ours,
        spread=result.spread,
        difference=result.difference,
        verdict=verdict,
        source=result.outcome,
        official=official,
        profile=cell.job.key if isinstance(cell, CountedCell) else None,
        speed=cell.job.key if isinstance(cell, TimedCell) else None,
        metric=cell.spec.measure,
        note=cell.spec.note,
        failed=FailedJob(log=failed.log, error=failed.error) if failed else None,
        released=_released(result),
        runs=[_run(seed, run) for seed, run in enumerate(result.runs)],
    )


def _run(seed: int, run: RunResult[Trained]) -> RunOfCell:
    return RunOfCell(
        run=run.evaluation.run_key,
        seed=seed,
        evaluation=run.evaluation.name,
        value=run.value,
        iterations=run.trained.iterations,
        weights_sha256=run.trained.weights.sha256,
        commit=run.trained.code.commit,
        modified=run.trained.code.modified,
        trained_on=trained_on(run.trained),
        processes=run.trained.processes,
        evaluated_on=run.measured_on,
    )


def _released(result: CellResult) -> ReleasedOfCell | None:
    if (released := result.released) is None:
        return None
    value, published = released.value, result.cell.spec.published
    file = released.trained.checkpoint
    return ReleasedOfCell(
        value=value,
        difference=None if value is None or published is None else round(value - published, 2),
        run=released.evaluation.run_key,
        evaluation=released.evaluation.name,
        weights_sha256=released.metrics.weights_sha256,
        evaluated_on=released.measured_on,
        checkpoint=file.name,
        file=file.file,
        file_sha256=file.sha256,
        verified=file.verified,
    )


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


def _datasets(cells: list[Cell], results: dict[str, CellResult]) -> list[Dataset]:
    """With the first cell's split on each, and the numbers of the last that was measured."""
    datasets: dict[tuple[str, str], Dataset] = {}
    for cell in cells:
        if cell.dataset is None or cell.published_dataset is None or not cell.measured:
            continue  # nothing is evaluated on it
        names, measured = (cell.published_dataset, cell.dataset.name), results[cell.name].measured
        if names in datasets and not measured:
            continue
        metrics = measured[-1].metrics if measured else None
        datasets[names] = Dataset(
            published=cell.published_dataset,
            used=cell.dataset.name,
            title=cell.dataset.title,
            stand_in=cell.published_dataset != cell.dataset.name,
            split=datasets[names].split if names in datasets else cell.measured[0].config.split,
            fingerprint=metrics.data_fingerprint if metrics else None,
            images=metrics.images if metrics else None,
            majority_class_miou=(round(100 * metrics.majority_class_miou, 2) if metrics else None),
        )
    return list(datasets.values())


def _same_weights(results: dict[str, CellResult]) -> list[list[str]]:
    """Cells of different runs that ended with the same weights: settings that changed nothing."""
    cells: dict[str, dict[str, str]] = {}  # weights -> run key -> cell
    for result in results.values():
        for run in result.runs:
            runs_of_weights = cells.setdefault(run.metrics.weights_sha256, {})
            runs_of_weights.setdefault(run.evaluation.run_key, result.cell.id)
    return [list(runs.values()) for runs in cells.values() if len(runs) > 1]


def _settings(cells: list[Cell], origin: str) -> list[ReportedSetting]:
    """Each once, part by part: of the backbone, of the head ..., of the recipe."""
    found: dict[str, list[ReportedSetting]] = {}  # by path
    for cell in cells:
        for path, given in cell.settings.items():
            if given.origin != origin:
                continue
            setting = ReportedSetting(key=path, value=given.value, source=given.source)
            if setting not in found.setdefault(path, []):
                found[path].append(setting)
    return [setting for path in sorted(found, key=part_of) for setting in found[path]]
