"""What rules read: other data make a result out of date, newer files alone do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.dvc_entries import was_pulled
from pipeline.errors import SpecError
from pipeline.workflow.errors import workflow_error
from pipeline.workflow.jobs import Jobs


class Inputs:
    """Files of other rules, by the names that stand in a job's output."""

    def __init__(self, jobs: Jobs, sources: str) -> None:
        """sources: the folder of the real datasets."""
        self._jobs, self._sources = jobs, sources

    def sources_of(self, dataset: str) -> str:
        """A drawn dataset has no sources, so moving them must not make Snakemake draw it again."""
        return "-" if self._jobs.is_drawn(dataset) else self._sources

    def parent(self, key: str) -> list[str]:
        """The finished run that this one starts from, if any."""
        parent = self._jobs.run(key).job.run.parent
        return [f"runs/{parent}/train.json"] if parent else []

    def data_of(
        self, key: str, output: str, ancient: Callable[[str], Any], kind: str = "runs"
    ) -> Any:
        """The run's data, which make it out of date when they are others, not when they are newer.

        A run that came from a colleague is older than the data that are prepared here later, and
        needs none while its `output` (without `.json`) is there. ancient: Snakemake's flag for an
        input whose time does not count; it does so only for one that exists. kind: or `released`.
        """
        job = self._jobs.run(key).job if kind == "runs" else self._jobs.release(key).job
        path = f"data/{job.dataset.name}/manifest.json"
        folder = Path(kind) / key
        try:
            used = json.loads((folder / "train.json").read_text())["data_fingerprint"]
            if not Path(path).exists():
                there = (folder / f"{output}.json").exists()
                return [] if was_pulled(f"{kind}/{key}") and there else path
            same = json.loads(Path(path).read_text())["fingerprint"] == used
        except (OSError, ValueError, KeyError, TypeError):
            return path  # not trained, or not readable: then times decide
        return ancient(path) if same else path

    def prediction_data(self, key: str, name: str, ancient: Callable[[str], Any]) -> Any:
        """As `data_of`: other data count, newer ones do not."""
        path = f"data/{self._jobs.prediction(key, name).config.data.name}/manifest.json"
        try:
            used = json.loads(Path(f"predictions/{key}/{name}.json").read_text())
            same = json.loads(Path(path).read_text())["fingerprint"] == used["data_fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            return path
        return ancient(path) if same else path

    def results_of(self, table: str) -> list[str]:
        experiment = self._jobs.experiment
        if table not in experiment.tables:
            expected = ", ".join(self._jobs.tables)
            raise workflow_error(
                SpecError(f"reports/{table}.md: unknown table; expected one of {expected}")
            )
        cells = experiment.cells_of(table)
        return list(dict.fromkeys(path for cell in cells for path in cell.inputs))
