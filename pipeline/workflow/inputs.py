"""What rules read: other data make a result out of date, newer files alone do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.workflow import shared_inputs
from pipeline.workflow.jobs import Jobs, workflow_error
from pipeline.workflow.shared_inputs import Ancient


class Inputs:
    """Files of other rules, by the names that stand in a job's output."""

    def __init__(self, jobs: Jobs, sources: str) -> None:
        """sources: the folder of the real datasets."""
        self._jobs, self._sources = jobs, sources

    def sources_of(self, dataset: str) -> str:
        """A drawn dataset has no sources, so moving them must not make Snakemake draw it again."""
        return "-" if self._jobs.is_drawn(dataset) else self._sources

    def config_of(self, key: str, ancient: Ancient, kind: str = paths.RUNS) -> Any:
        """A run's configuration. Ancient once it was used, as the key names all of it that changes
        weights; but not before: while Snakemake makes an ancient file again, as after a kill, it
        leaves out what depends on it, missing or not."""
        config, used = paths.config(key, kind), Path(paths.trained(key, kind)).exists()
        return ancient(config) if used and Path(config).exists() else config

    def of_training(self, key: str, ancient: Ancient) -> dict[str, Any]:
        """The data that a run is trained on, compared by content, and the finished run that it
        starts from, if any."""
        job, output = self._jobs.run(key).job, paths.trained(key)
        parent = paths.trained(job.run.parent) if job.run.parent else None
        there = parent if parent and Path(parent).exists() else None
        # A run from elsewhere needs no training however new its inputs are.
        settled = shared_inputs.is_settled(output, "start_weights", there)
        start = parent if not settled else ancient(there) if there else None
        manifest = paths.data_manifest(job.dataset.name)
        data = shared_inputs.data_of(output, manifest, settled, ancient)
        return {"data": data, "parent": start or []}

    def of_result(self, output: str, ancient: Ancient) -> dict[str, Any]:
        """What an evaluation or label maps are made of: the manifest of the weights, and the data,
        by what is in them."""
        trained, (kind, key, *_) = paths.trained_of(output), output.split("/")
        settled = shared_inputs.is_settled(output, "weights_sha256", trained)
        if kind == paths.PREDICTIONS:
            dataset = self._jobs.prediction(key, Path(output).stem).config.data.name
        elif kind == paths.RELEASED:
            dataset = self._jobs.release(key).job.dataset.name
        else:
            dataset = self._jobs.run(key).job.dataset.name
        manifest = paths.data_manifest(dataset)
        return {
            "trained": ancient(trained) if settled else trained,
            "data": shared_inputs.data_of(output, manifest, settled, ancient),
        }

    def results_of(self, table: str) -> list[str]:
        experiment = self._jobs.experiment
        if table not in experiment.tables:
            expected = ", ".join(self._jobs.tables)
            output = paths.report(table)
            raise workflow_error(f"{output}: unknown table; expected one of {expected}")
        cells = experiment.cells_of(table)
        return list(dict.fromkeys(path for cell in cells for path in cell.inputs))
