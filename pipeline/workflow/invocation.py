"""Snakemake's `--config`: the scale of this invocation, and where its files come from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline import paths
from pipeline.errors import SpecError

DEFAULTS: dict[str, Any] = {
    "preset": "mini",
    "seeds": 1,
    "sources": paths.SOURCES,
    "source": "trained",
    "mirror": "",
    "record": "yes",
}
YES_OR_NO = {"yes": True, "no": False, "true": True, "false": False}  # as Snakemake hands them on


@dataclass(frozen=True)
class Invocation:
    preset: str
    seeds: Any  # checked where the experiment is built
    sources: str  # the folder of the real datasets
    weights_source: str
    mirror: str  # a folder of released checkpoints, or empty
    record: bool  # whether MLflow and DVC are told of the runs afterwards

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Invocation:
        """Raises SpecError for an unknown key, or a value that cannot be."""
        for key in config:
            if key not in DEFAULTS:
                raise SpecError(
                    f"--config {key}=...: unknown key; expected one of {', '.join(DEFAULTS)}"
                )
        values = {**DEFAULTS, **config}
        answer = YES_OR_NO.get(str(values["record"]).lower())
        if answer is None:
            raise SpecError(f"--config record={values['record']}: expected yes or no")
        texts = {name: str(values[name]) for name in ("preset", "sources", "mirror")}
        source = str(values["source"])
        return cls(**texts, weights_source=source, seeds=values["seeds"], record=answer)

    @property
    def options(self) -> str:
        """The scale, for `python -m pipeline`."""
        scale = f"--preset {shlex.quote(self.preset)}"
        source = "" if self.weights_source == "trained" else f" --source {self.weights_source}"
        return f"{scale} --seeds {self.seeds}{source}"

    @property
    def repeat(self) -> str:
        """The settings that make the same again; the datasets' folder is each user's own."""
        source = "" if self.weights_source == "trained" else f" source={self.weights_source}"
        return f"--config preset={self.preset} seeds={self.seeds} sources=DIR{source}"

    @property
    def from_mirror(self) -> str:
        """Where released checkpoints are copied from, if not downloaded."""
        return f"--mirror {shlex.quote(self.mirror)}" if self.mirror else ""
