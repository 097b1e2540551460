"""The jobs that rules are asked for, found by what stands in their outputs' names."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from dmnet.config import DatasetConfig, canonical_json
from dmnet.text import LONGEST, shortened
from pipeline import paths
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
from pipeline.workflow.invocation import Invocation
from pipeline.workflow.one_cell import Hints

Found = TypeVar("Found")


def workflow_error(error: object) -> Exception:
    """Snakemake prints a WorkflowError as one line, any other exception with its traceback."""
    from snakemake.exceptions import WorkflowError  # type: ignore[import-untyped,unused-ignore]

    return WorkflowError(shortened(str(error), LONGEST))


class Jobs:
    """Of one invocation. What no table asks for raises Snakemake's WorkflowError, one line."""

    def __init__(self, params: Params, invocation: Invocation, in_job: bool) -> None:
        """in_job: another Snakemake has read everything, and handed out this one job."""
        self._params, self._invocation, self._in_job = params, invocation, in_job
        self.hints = Hints(invocation.preset, invocation.seeds, invocation.weights_source)

    @cached_property
    def experiment(self) -> Experiment:
        asked = self._invocation
        return build_experiment(
            asked.preset, asked.seeds, params=self._params, weights_source=asked.weights_source
        )

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
        return figure_names(PARAMS, self._invocation.weights_source)

    @cached_property
    def known_figures(self) -> dict[str, Figure]:
        return load_figures(PARAMS, self.experiment)

    def figure(self, name: str) -> Figure:
        if name not in self.known_figures:
            expected = ", ".join(self.known_figures) or "none (params/figures is empty)"
            output = paths.report(name, "png")
            raise workflow_error(f"{output}: unknown figure; expected one of {expected}")
        return self.known_figures[name]

    def dataset(self, name: str) -> DatasetConfig:
        if name not in self.experiment.datasets:
            raise workflow_error(
                f"{paths.dataset(name)}: preset {self._invocation.preset!r} does not use this "
                f"dataset; expected one of {', '.join(self.experiment.datasets)}"
            )
        return self.experiment.datasets[name]

    def is_drawn(self, dataset: str) -> bool:
        config = self._find(lambda part: part.datasets.get(dataset), paths.data_manifest(dataset))
        return config is not None and config.generate is not None

    def run(self, key: str) -> Run:
        if found := self._find(lambda part: part.runs.get(key), paths.trained(key)):
            return found
        raise workflow_error(
            f"{paths.run(key)}: no table has this run at preset {self._invocation.preset!r} with "
            f"{self._invocation.seeds} seed(s)"
        )

    def release(self, key: str) -> Release:
        output = paths.trained(key, paths.RELEASED)
        if found := self._find(lambda part: part.releases.get(key), output):
            return found
        raise workflow_error(
            f"{paths.run(key, paths.RELEASED)}: no table has this checkpoint at preset "
            f"{self._invocation.preset!r}; add --config source=released"
        )

    def profile_json(self, key: str) -> str:
        return self._measurement(paths.count(key), "profile").config.model_dump_json()

    def speed_json(self, key: str) -> str:
        return canonical_json(self._measurement(paths.speed(key), "measurement").config)

    def _measurement(self, path: str, kind: str) -> Measurement:
        if found := self._find(lambda part: part.measurements.get(path), path):
            return found
        raise workflow_error(f"{path}: no table asks for this {kind}")

    def evaluation_json(self, key: str, name: str) -> str:
        if found := self._evaluation(key, name):
            return canonical_json(found.config)
        raise workflow_error(f"{paths.run(key)}: no table asks for evaluation {name!r}")

    def _evaluation(self, key: str, name: str) -> Evaluation | None:
        outputs = (paths.evaluation(key, name, kind) for kind in paths.OF_WEIGHTS)
        return self._find(lambda part: part.evaluations.get((key, name)), *outputs)

    def submission(self, table: str) -> Submission:
        try:
            return find_submission(self.experiment, table)
        except SpecError as error:
            raise workflow_error(error) from None

    def prediction(self, key: str, name: str) -> Evaluation | Submission:
        """What stands behind the label maps: a cell's protocol, or a submission."""
        if (evaluation := self._evaluation(key, name)) is not None:
            return evaluation
        for submission in self.experiment.submissions.values():
            if (submission.run_key, submission.name) == (key, name):
                return submission
        output = paths.prediction(key, name)
        raise workflow_error(f"{output}: no cell and no submission is measured so")

    def prediction_json(self, key: str, name: str) -> str:
        return canonical_json(self.prediction(key, name).config)
