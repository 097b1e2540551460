"""The jobs that rules are asked for, found by what stands in their outputs' names."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from dmnet.config import DatasetConfig, canonical_json
from pipeline.errors import SpecError
from pipeline.experiments import (
    PARAMS,
    Evaluation,
    Experiment,
    Release,
    Run,
    Submission,
    build_experiment,
    find_submission,
)
from pipeline.experiments.cells import Measurement
from pipeline.experiments.figures import Figure, figure_names, load_figures
from pipeline.spec.params import Params
from pipeline.workflow.errors import workflow_error
from pipeline.workflow.invocation import Invocation
from pipeline.workflow.one_cell import Hints

Found = TypeVar("Found")


class Jobs:
    """Of one invocation. What no table asks for raises Snakemake's WorkflowError, one line."""

    def __init__(self, params: Params, invocation: Invocation, in_job: bool) -> None:
        """in_job: another Snakemake has read everything, and handed out this one job."""
        self._params, self._invocation, self._in_job = params, invocation, in_job
        self.hints = Hints(invocation.preset, invocation.seeds, invocation.source)

    @cached_property
    def experiment(self) -> Experiment:
        asked = self._invocation
        return build_experiment(asked.preset, asked.seeds, params=self._params, source=asked.source)

    def _find(self, pick: Callable[[Experiment], Found | None], *outputs: str) -> Found | None:
        """`pick` of the experiment; in a job, of as much of it as leads to one of `outputs`."""
        for output in outputs if self._in_job else ():
            part = self.hints.experiment(output, self._params)
            if part is not None and (found := pick(part)) is not None:
                return found
        return pick(self.experiment)

    @property
    def tables(self) -> list[str]:
        return list(self._params.table_names)

    @property
    def figures(self) -> list[str]:
        return figure_names(PARAMS, self._invocation.source)

    @cached_property
    def _figures(self) -> dict[str, Figure]:
        return load_figures(PARAMS, self.experiment)

    def read_figures(self) -> None:
        """So that a mistake in one is told now."""
        self._figures  # noqa: B018

    def figure(self, name: str) -> Figure:
        if name not in self._figures:
            expected = ", ".join(self._figures) or "none (params/figures is empty)"
            raise workflow_error(
                SpecError(f"reports/{name}.png: unknown figure; expected one of {expected}")
            )
        return self._figures[name]

    def dataset(self, name: str) -> DatasetConfig:
        if name not in self.experiment.datasets:
            raise workflow_error(
                SpecError(
                    f"data/{name}: preset {self.experiment.preset_name!r} does not use this "
                    f"dataset; expected one of {', '.join(self.experiment.datasets)}"
                )
            )
        return self.experiment.datasets[name]

    def is_drawn(self, dataset: str) -> bool:
        found = self._find(lambda study: study.datasets.get(dataset), f"data/{dataset}")
        return found is not None and found.generate is not None

    def run(self, key: str) -> Run:
        run = self._find(lambda study: study.runs.get(key), f"runs/{key}/train.json")
        if run is None:
            raise workflow_error(
                SpecError(
                    f"runs/{key}: no table has this run at preset "
                    f"{self.experiment.preset_name!r} with {self.experiment.seeds} seed(s)"
                )
            )
        return run

    def cells_of(self, key: str) -> str:
        return ", ".join(self.run(key).cells)

    def release(self, key: str) -> Release:
        release = self._find(lambda study: study.releases.get(key), f"released/{key}/train.json")
        if release is None:
            raise workflow_error(
                SpecError(
                    f"released/{key}: no table has this checkpoint at preset "
                    f"{self.experiment.preset_name!r}; add --config source=released"
                )
            )
        return release

    def checkpoint_of(self, key: str) -> str:
        return self.release(key).job.run.checkpoint.name

    def profile_json(self, key: str) -> str:
        return self._measurement(f"counts/{key}.json", "profile").config.model_dump_json()

    def speed_json(self, key: str) -> str:
        return canonical_json(self._measurement(f"speed/{key}.json", "measurement").config)

    def _measurement(self, path: str, kind: str) -> Measurement:
        measurement = self._find(lambda study: study.measurements.get(path), path)
        if measurement is None:
            raise workflow_error(SpecError(f"{path}: no table asks for this {kind}"))
        return measurement

    def evaluation_json(self, key: str, name: str) -> str:
        evaluation = self._evaluation(key, name)
        if evaluation is None:
            raise workflow_error(SpecError(f"runs/{key}: no table asks for evaluation {name!r}"))
        return canonical_json(evaluation.config)

    def _evaluation(self, key: str, name: str) -> Evaluation | None:
        path = f"{key}/evaluations/{name}.json"
        return self._find(
            lambda study: study.evaluations.get((key, name)), f"runs/{path}", f"released/{path}"
        )

    def submission(self, table: str) -> Submission:
        try:
            return find_submission(self.experiment, table)
        except SpecError as error:
            raise workflow_error(error) from None

    def prediction(self, key: str, name: str) -> Evaluation | Submission:
        """What `predictions/<key>/<name>.json` is made by: a cell's protocol, or a submission."""
        if (evaluation := self._evaluation(key, name)) is not None:
            return evaluation
        for submission in self.experiment.submissions.values():
            if (submission.run_key, submission.name) == (key, name):
                return submission
        raise workflow_error(
            SpecError(f"predictions/{key}/{name}.json: no cell and no submission is measured so")
        )

    def prediction_json(self, key: str, name: str) -> str:
        return canonical_json(self.prediction(key, name).config)
