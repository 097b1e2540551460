"""For the jobs of a cluster: which cell stands behind an output, so that a job resolves only that.

Every cluster job parses the workflow anew and asks about one run or evaluation. Snakemake on the
login node, which has resolved every cell, writes down before the first job which cell leads to
which output. It is a hint and no more: what a job resolves it checks by the key in the output's
name, and without a hint, or with a wrong one, it resolves everything.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dmnet.errors import DMNetError
from dmnet.files import read_json, write_text
from pipeline import paths
from pipeline.experiments import Experiment, build_experiment
from pipeline.results.failures import outputs_of
from pipeline.spec.params import Params


class _Content(BaseModel):
    cells: dict[str, tuple[str, str]] = {}  # output -> table and cell
    served: dict[str, list[str]] = {}  # run -> cells


class Hints:
    """Of one preset, number of seeds and source of weights."""

    def __init__(
        self, preset: str, seeds: Any, weights_source: str, folder: str = paths.STATE
    ) -> None:
        self.preset, self.seeds, self.weights_source = preset, seeds, weights_source
        # No setting can lead out of the folder: a name with a slash is not looked for.
        self.path = Path(folder) / f"{preset}-{seeds}-{weights_source}.json".replace("/", "_")
        self._small: dict[tuple[str, str], Experiment] = {}

    def write(self, experiment: Experiment) -> None:
        """What leads to every run, dataset, evaluation, profile and measurement of `experiment`."""
        cells: dict[str, tuple[str, str]] = {}
        for cell in experiment.cells:
            for output in outputs_of(cell, experiment):
                cells.setdefault(output, (cell.table, cell.name))
        served = {key: run.cells for key, run in experiment.runs.items()}
        write_text(self.path, json.dumps({"cells": cells, "served": served}))

    def experiment(self, output: str, params: Params) -> Experiment | None:
        """The one cell that leads to `output`, resolved; its runs know all the cells they serve."""
        if (hint := self._content.cells.get(output)) is None:
            return None
        table, name = hint
        if (table, name) not in self._small:
            try:
                part = build_experiment(
                    self.preset, self.seeds, [table], params, self.weights_source, cells=(name,)
                )
            except DMNetError:  # the params have changed: resolving everything tells how
                return None
            for run in part.runs.values():
                run.cells = self._content.served.get(run.key, run.cells)
            self._small[table, name] = part
        return self._small[table, name]

    @cached_property
    def _content(self) -> _Content:
        try:
            return _Content.model_validate(read_json(self.path))
        except (DMNetError, ValidationError):
            return _Content()
