"""The cells of `params/` keep their keys and paths, at every scale and from either source."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from dmnet.files import write_text
from pipeline.experiments import PARAMS, build_experiment
from pipeline.spec.params import Params

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cells.json"
PARAMETERS = Params(PARAMS)


def digest(preset: str, source: str, seeds: int) -> str:
    """Of what every cell, run, checkpoint and submission is called on disk, and of who shares it.

    To be written anew (`python -m tests.pipeline.experiments.test_cells`) when a revision in
    `dmnet/config/jobs.py` is raised or `params/` gets other cells.
    """
    experiment = build_experiment(preset, seeds, params=PARAMETERS, source=source)
    lines = [f"{cell.id} {' '.join(cell.inputs)}" for cell in experiment.cells]
    for job in (*experiment.runs.values(), *experiment.releases.values()):
        lines.append(f"{job.key} {' '.join(job.cells)}")
    lines += [evaluation.path for evaluation in experiment.evaluations.values()]
    lines += [f"{s.table} {s.predictions}" for s in experiment.submissions.values()]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def digests(preset: str, source: str) -> dict[str, str]:
    return {str(seeds): digest(preset, source, seeds) for seeds in (1, 3)}


@pytest.mark.parametrize("preset", ["paper", "mini", "smoke"])
@pytest.mark.parametrize("source", ["trained", "released", "both"])
def test_cells_keep_their_keys_and_paths(preset, source):
    assert digests(preset, source) == json.loads(GOLDEN.read_text())[preset][source]


if __name__ == "__main__":
    found = {
        preset: {source: digests(preset, source) for source in ("trained", "released", "both")}
        for preset in ("paper", "mini", "smoke")
    }
    write_text(GOLDEN, json.dumps(found, indent=1) + "\n")
