"""What a table sends to a test server."""

from __future__ import annotations

from dmnet.config import EvaluationConfig
from pipeline.errors import SpecError
from pipeline.experiments.cells import Cell, CountedCell, TrainedCell
from pipeline.experiments.configuration import CellConfiguration
from pipeline.experiments.experiment import Experiment
from pipeline.experiments.jobs import Submission, evaluation_name
from pipeline.spec.tables import SubmissionSpec


def submission_of(
    cell: Cell, spec: SubmissionSpec, configuration: CellConfiguration
) -> Submission | None:
    """The run at seed 0 and the cell's protocol, on the test images.

    None where the preset's data have other classes than the test images (`find_submission` says so
    to whoever asks). Raises SpecError for a cell without a run or a labelled dataset.
    """
    where = f"{configuration.params.folder}/tables/{configuration.table}.yaml: `submission`"
    if isinstance(cell, CountedCell):
        raise SpecError(f"{where}: cell {cell.name!r} is counted; name one that is trained")
    dataset = configuration.stand_in(spec.dataset, where)
    if "test" not in dataset.splits:
        raise SpecError(f"{where}: dataset {dataset.name!r} has no split with the role `test`")
    if dataset.classes != cell.dataset.classes or not isinstance(cell, TrainedCell):
        return None
    measured = cell.evaluations[0]
    config = EvaluationConfig(
        inference=measured.config.inference,
        split=dataset.splits["test"],
        data=dataset.identity_of("test"),
        load_scale=measured.config.load_scale,
        optimised_from=measured.config.optimised_from,
    )
    return Submission(
        configuration.table,
        cell.name,
        spec.member,
        spec.dataset,
        dataset,
        measured.run_key,
        evaluation_name(configuration.protocol(), config),
        config,
    )


def find_submission(experiment: Experiment, table: str) -> Submission:
    """The submission of `table`. Raises SpecError when it has none, or none at this preset."""
    if table in experiment.submissions:
        return experiment.submissions[table]
    spec = experiment.tables[table].submission if table in experiment.tables else None
    if spec is None:
        raise SpecError(
            f"submission of {table}: params/tables/{table}.yaml has no `submission`; name a table "
            "that has one, as table7"
        )
    cell = next(c for c in experiment.cells_of(table) if c.name == spec.cell)
    used = f"{cell.dataset.name}, {len(cell.dataset.classes)} classes" if cell.dataset else "-"
    raise SpecError(
        f"submission of {table}: not offered at preset {experiment.preset_name!r}, whose runs know "
        f"other classes ({used}) than the images of {spec.dataset}; use a preset with VOC's classes"
    )
