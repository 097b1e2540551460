"""Checkpoints that others published, and what is evaluated with one: released, not trained here."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dmnet.config.data import DataIdentity, DatasetConfig
from dmnet.config.jobs import Device, JobConfig
from dmnet.config.model import ModelConfig
from dmnet.config.published import PublishedFile
from dmnet.config.recipe import Positive, RecipeConfig
from dmnet.config.sections import Section, content_hash, parse

# Raise this by one when the import makes other weights of the same file.
RELEASE_REVISION = 1

Zoo = Literal["mmsegmentation", "sssegmentation"]
Colour = tuple[float, float, float]  # red, green, blue


class CheckpointConfig(Section):
    """A zoo's checkpoint. Where publications of it differ, several files; any of them is it."""

    name: str
    zoo: Zoo
    files: tuple[PublishedFile, ...] = Field(min_length=1)  # the one in the README first

    @model_validator(mode="after")
    def _addresses(self) -> CheckpointConfig:
        for file in self.files:
            for url in file.urls:
                if not re.match(r"(https?|file)://.*/", url) or not url.endswith(f"/{file.file}"):
                    raise ValueError(f"the address {url} is not one of a file {file.file}")
        return self


class ReleaseIdentity(Section):
    """Everything that changes what a released checkpoint measures, and nothing else."""

    revision: int
    checkpoint: CheckpointConfig
    model: ModelConfig
    data: DataIdentity
    mean: Colour
    std: tuple[Positive, Positive, Positive]
    cpu_threads: int = 1


def untrained(model: ModelConfig) -> ModelConfig:
    """The model without what only its training would start from."""
    backbone = model.backbone.model_copy(update={"weights": None})
    return model.model_copy(update={"backbone": backbone, "initialisation": "he"})


class ReleaseConfig(Section):
    """A released checkpoint in the place of a training run. Its `key` addresses it.

    `recipe` is the one that its publishers state; only its normalisation is used here.
    """

    revision: int = RELEASE_REVISION
    checkpoint: CheckpointConfig
    model: ModelConfig
    data: DataIdentity
    recipe: RecipeConfig
    cpu_threads: Annotated[int, Field(ge=1)] = 1

    @property
    def identity(self) -> ReleaseIdentity:
        return ReleaseIdentity(
            revision=self.revision,
            checkpoint=self.checkpoint,
            model=untrained(self.model),
            data=self.data,
            mean=self.recipe.mean,
            std=self.recipe.std,
            cpu_threads=self.cpu_threads,
        )

    @property
    def key(self) -> str:
        """First 16 hex digits of the SHA-256 of the identity's canonical JSON."""
        return content_hash(self.identity)[:16]


class ReleaseJob(Section):
    """The file `config.json` of a released checkpoint: what `python -m dmnet import` needs."""

    run: ReleaseConfig
    dataset: DatasetConfig
    device: Device = "auto"  # as `execution.device` of a training

    @model_validator(mode="after")
    def _same_data(self) -> ReleaseJob:
        self.dataset.require_trained_on(self.run.data)
        return self


def parse_job(content: Any, where: str) -> JobConfig | ReleaseJob:
    """What a `config.json` describes: a training, or a released checkpoint. Raises ConfigError."""
    run = content.get("run") if isinstance(content, dict) else None
    if isinstance(run, dict) and "checkpoint" in run:
        return parse(ReleaseJob, content, where)
    return parse(JobConfig, content, where)
