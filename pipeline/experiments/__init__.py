"""Cells -> runs: every cell resolved at a preset, where equal configurations share one run."""

from pipeline.experiments.build import PARAMS, build_experiment
from pipeline.experiments.cells import (
    Cell,
    CitedCell,
    CountedCell,
    MeasuredCell,
    ReleasedCell,
    TimedCell,
    TrainedCell,
)
from pipeline.experiments.experiment import Experiment, settings_with_origin
from pipeline.experiments.jobs import Count, Evaluation, Release, Run, Speed, Submission
from pipeline.experiments.submissions import find_submission

__all__ = [
    "PARAMS",
    "Cell",
    "CitedCell",
    "Count",
    "CountedCell",
    "Evaluation",
    "Experiment",
    "MeasuredCell",
    "Release",
    "ReleasedCell",
    "Run",
    "Speed",
    "Submission",
    "TimedCell",
    "TrainedCell",
    "build_experiment",
    "find_submission",
    "settings_with_origin",
]
