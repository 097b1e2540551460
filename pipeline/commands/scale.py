"""The options of most commands: preset, seeds and weights, and the experiment that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from pipeline import paths
from pipeline.experiments import Experiment, build_experiment

EVERYTHING = (None, "reports", "all")


@dataclass(frozen=True)
class Scale:
    preset: str
    seeds: int
    weights_source: str

    def experiment(self, target: str | None = None) -> Experiment:
        """target: a table's name, its report's path, or nothing for all."""
        tables = None if target in EVERYTHING else [Path(str(target)).stem]
        return build_experiment(self.preset, self.seeds, tables, weights_source=self.weights_source)


def at_scale(action: Callable[..., None]) -> Callable[..., None]:
    """Add these options to `action`, whose first argument they become."""

    @click.option("--preset", default="mini", help="mini (default), smoke, small or paper.")
    @click.option("--seeds", type=int, default=1, help="Seeds per run; default 1.")
    @click.option(
        "--source",
        "weights_source",
        default="trained",
        help="trained (default), released (published checkpoints), or both.",
    )
    @wraps(action)
    def asked(preset: str, seeds: int, weights_source: str, **arguments: Any) -> None:
        action(Scale(preset, seeds, weights_source), **arguments)

    return asked


target = click.argument("target", required=False)  # a table, e.g. table2; default: all
into_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path(paths.REPORTS),
    help="Default: reports.",
)
into_file = click.option("--output", type=click.Path(path_type=Path), required=True)
