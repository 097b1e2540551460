"""What Snakemake makes for cells: trainings, released checkpoints, evaluations, submissions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from dmnet.config import (
    DatasetConfig,
    EvaluationConfig,
    InferenceConfig,
    JobConfig,
    ReleaseJob,
    content_hash,
)
from pipeline import paths


@dataclass
class Run:
    """One training run and the cells that it serves (their names are outside its key)."""

    key: str
    job: JobConfig
    cells: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """For people: the first cell it serves, its seed where that is not 0, and the key."""
        seed = f" seed {self.job.run.seed}" if self.job.run.seed else ""
        first = self.cells[0] if self.cells else "a parent run"
        return f"{first}{seed} {self.key[:6]}"


@dataclass
class Release:
    """A released checkpoint in the place of a run, and the cells that it serves."""

    key: str
    job: ReleaseJob
    cells: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{self.job.run.checkpoint.name} {self.key[:6]}"


@dataclass(frozen=True)
class Evaluation:
    """One (run, inference protocol, split); its file name carries its content hash."""

    run_key: str
    name: str
    config: EvaluationConfig
    folder: str = paths.RUNS  # or RELEASED

    @property
    def path(self) -> str:
        return paths.evaluation(self.run_key, self.name, self.folder)

    @property
    def trained(self) -> str:
        """The manifest of the weights that it was made on."""
        return paths.trained(self.run_key, self.folder)

    @property
    def paths(self) -> tuple[str, str]:
        """What a report reads."""
        return self.path, self.trained


@dataclass(frozen=True)
class Submission:
    """What a table sends to a test server: the predictions of one run on unlabelled images."""

    table: str
    cell: str
    member: str  # the folder of the images within the archive
    published_dataset: str
    dataset: DatasetConfig
    run_key: str
    name: str  # of the predictions, as an evaluation's
    config: EvaluationConfig

    @property
    def predictions(self) -> str:
        """The manifest of the predicted images, which lie beside it in a folder of its stem."""
        return paths.prediction(self.run_key, self.name)


def evaluation_name(protocol: str, config: EvaluationConfig) -> str:
    """Has the protocol's name, the split and a hash of all that is measured."""
    return f"{protocol}-{config.split}-{content_hash(config)[:8]}"


def protocol_text(inference: InferenceConfig) -> str:
    """For people."""
    values = inference.model_dump(mode="json", exclude_none=True)
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in values.items())


def size_text(size: tuple[int, int]) -> str:
    """For people."""
    return f"{size[0]} x {size[1]} (height x width)"
