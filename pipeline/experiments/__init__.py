"""Cells -> runs: every cell resolved at a preset, where equal configurations share one run."""

from pipeline.experiments.build import PARAMS, build_experiment
from pipeline.experiments.cells import Cell
from pipeline.experiments.experiment import Experiment
from pipeline.experiments.jobs import Evaluation, Release, Run, Submission
from pipeline.experiments.submissions import find_submission

__all__ = [
    "PARAMS",
    "Cell",
    "Evaluation",
    "Experiment",
    "Release",
    "Run",
    "Submission",
    "build_experiment",
    "find_submission",
]
