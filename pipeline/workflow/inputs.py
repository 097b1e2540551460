"""What rules read: other data make a result out of date, newer files alone do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.errors import SpecError
from pipeline.workflow import shared_inputs
from pipeline.workflow.errors import workflow_error
from pipeline.workflow.jobs import Jobs
from pipeline.workflow.shared_inputs import Ancient


class Inputs:
    """Files of other rules, by the names that stand in a job's output."""

    def __init__(self, jobs: Jobs, sources: str) -> None:
        """sources: the folder of the real datasets."""
        self._jobs, self._sources = jobs, sources

    def sources_of(self, dataset: str) -> str:
        """A drawn dataset has no sources, so moving them must not make Snakemake draw it again."""
        return "-" if self._jobs.is_drawn(dataset) else self._sources

    def parent(self, key: str, ancient: Ancient) -> Any:
        """The finished run that this one starts from, if any."""
        path = self._parent(key)
        if not self._is_settled(key):
            return path or []
        return ancient(path) if path and Path(path).exists() else []

    def data_of(self, key: str, ancient: Ancient) -> Any:
        """The data that the run is trained on, by what is in them."""
        made_with = f"runs/{key}/train.json"
        manifest = _manifest(self._jobs.run(key).job.dataset.name)
        return shared_inputs.data_of(made_with, manifest, self._is_settled(key), ancient)

    def evaluation_data(self, key: str, name: str, ancient: Ancient, kind: str = "runs") -> Any:
        """The same for an evaluation; kind: or `released`."""
        job = self._jobs.run(key).job if kind == "runs" else self._jobs.release(key).job
        output = f"{kind}/{key}/evaluations/{name}.json"
        settled = _is_of_its_run(output, kind)
        return shared_inputs.data_of(output, _manifest(job.dataset.name), settled, ancient)

    def weights_of(self, output: str, ancient: Ancient, kind: str = "runs") -> Any:
        """The manifest of the run, in whose folder of `kind` the weights are that `output` uses."""
        path = f"{kind}/{output.split('/')[1]}/train.json"
        return ancient(path) if _is_of_its_run(output, kind) else path

    def prediction_data(self, key: str, name: str, ancient: Ancient) -> Any:
        """As `evaluation_data`."""
        manifest = _manifest(self._jobs.prediction(key, name).config.data.name)
        output = f"predictions/{key}/{name}.json"
        return shared_inputs.data_of(output, manifest, _is_of_its_run(output), ancient)

    def results_of(self, table: str) -> list[str]:
        experiment = self._jobs.experiment
        if table not in experiment.tables:
            expected = ", ".join(self._jobs.tables)
            raise workflow_error(
                SpecError(f"reports/{table}.md: unknown table; expected one of {expected}")
            )
        cells = experiment.cells_of(table)
        return list(dict.fromkeys(path for cell in cells for path in cell.inputs))

    def _parent(self, key: str) -> str | None:
        parent = self._jobs.run(key).job.run.parent
        return f"runs/{parent}/train.json" if parent else None

    def _is_settled(self, key: str) -> bool:
        """Whether a run from elsewhere needs no training whatever its inputs' times."""
        parent = self._parent(key)
        there = parent if parent and Path(parent).exists() else None
        return shared_inputs.is_settled(f"runs/{key}/train.json", "start_weights", there)


def _manifest(dataset: str) -> str:
    return f"data/{dataset}/manifest.json"


def _is_of_its_run(output: str, kind: str = "runs") -> bool:
    trained = f"{kind}/{output.split('/')[1]}/train.json"
    return shared_inputs.is_settled(output, "weights_sha256", trained)
