"""After the jobs: tells MLflow and DVC of finished runs. A failure here is never fatal."""

from __future__ import annotations

import sys

from dmnet.errors import DMNetError
from pipeline.experiments import Experiment

LIMIT = 900.0  # seconds for MLflow, which a healthy store needs for thousands of runs


def record_runs(
    experiment: Experiment, keys: set[str], dvc: bool = True, limit: float = LIMIT
) -> None:
    """Record the finished ones of the runs `keys`. Raises RecordError after trying both, and all
    runs: one that is damaged keeps no other from being recorded, and each is named.

    `experiment` has all tables, as a run may serve several of them. limit: seconds for MLflow.
    Snakemake's own state is not touched: the same command can be given again at any time.
    """
    from pipeline import tracking
    from pipeline.records import artifacts

    problems: list[DMNetError] = []
    if dvc:  # first, as MLflow is told DVC's hashes
        try:
            tracked = artifacts.track(keys)
            print(tracked.line)
            problems += tracked.problems
        except DMNetError as error:
            problems.append(error)
    try:
        print(tracking.ingest(experiment, keys, limit=limit))
    except DMNetError as error:
        problems.append(error)
    for problem in problems[:-1]:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise problems[-1]
