"""What is done, running, interrupted and pending, and which reports are out of date."""

from __future__ import annotations

from pathlib import Path

from tabulate import tabulate

from dmnet.text import clock
from pipeline import paths
from pipeline.experiments import Experiment
from pipeline.inspection.stale import stale_lines
from pipeline.results.files import read_if_whole
from pipeline.results.made_by import code_marks
from pipeline.results.run_status import run_status
from pipeline.results.schemas import Evaluated, Made, Trained


def render_status(experiment: Experiment, root: Path = Path(".")) -> str:
    """For people; what is still to do of an experiment, run by run."""
    states = [run_status(run, root) for run in experiment.runs.values()]
    order = {"running": 0, "failed": 1, "interrupted": 2, "done": 3, "pending": 4}
    states.sort(key=lambda status: order[status.state])
    rows = [
        [
            status.state,
            f"{status.iteration}/{status.run.job.run.recipe.iterations}",
            "" if status.eta_seconds is None else clock(status.eta_seconds),
            "" if status.miou is None else f"{100 * status.miou:.2f}",
            status.run.key,
            ", ".join(status.run.cells),
        ]
        for status in states
    ]
    headers = ["state", "iteration", "ETA", "val mIoU", "run", "cells"]
    counts = {state: sum(s.state == state for s in states) for state in order}
    evaluated = sum((root / e.path).exists() for e in experiment.evaluations.values())
    speeds = experiment.speeds
    measured = sum((root / speed.path).exists() for speed in speeds)
    return "\n".join(
        [
            f"Preset {experiment.preset_name}, seeds {experiment.seeds}: "
            + ", ".join(f"{count} {state}" for state, count in counts.items())
            + f"; {evaluated} of {len(experiment.evaluations)} evaluations done"
            + (f", {measured} of {len(speeds)} measurements of speed" if speeds else ""),
            "",
            tabulate(rows, headers, tablefmt="simple", disable_numparse=True),
            "",
            *(
                f"failed: {status.run.key}: {status.failure.error} (log: {status.failure.log})"
                for status in states
                if status.failure is not None
            ),
            *_code_lines(experiment, root),
            *stale_lines(experiment, root),
            f"Logs: {paths.log(paths.trained('<run>'))}",
        ]
    )


def _code_lines(experiment: Experiment, root: Path) -> list[str]:
    """A line for each finished run or evaluation whose code changed on the way."""
    files: dict[str, type[Made]] = {paths.trained(key): Trained for key in experiment.runs}
    files |= {evaluation.path: Evaluated for evaluation in experiment.evaluations.values()}
    lines = []
    for path, schema in files.items():
        made = read_if_whole(root / path, schema)  # `verify` names what is damaged
        found = [] if made is None else code_marks(path, made)
        lines += [f"more than one code: {line}" for line in found]
    return lines
