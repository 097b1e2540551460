"""What kind a cell is; the cells of `params/` keep their keys and paths."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from dmnet.files import write_text
from pipeline.errors import SpecError
from pipeline.experiments import PARAMS, build_experiment
from pipeline.spec.params import Params

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cells.json"
PARAMETERS = Params(PARAMS)


def digest(preset: str, source: str, seeds: int) -> str:
    """Of what every cell, run, checkpoint and submission is called on disk, and of who shares it.

    To be written anew (`python -m tests.pipeline.experiments.test_cells`) when a revision in
    `dmnet/config/jobs.py` is raised or `params/` gets other cells.
    """
    experiment = build_experiment(preset, seeds, params=PARAMETERS, weights_source=source)
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


EVALUATED = {
    "trained": {"TrainedCell": 142},
    "released": {"ReleasedCell": 76, "CitedCell": 66},
    "both": {"TrainedCell": 142},
}


@pytest.mark.parametrize("source", EVALUATED)
def test_the_kinds_of_cells(source):
    cells = build_experiment("paper", params=PARAMETERS, weights_source=source).cells
    kinds = Counter(type(cell).__name__ for cell in cells)
    assert kinds == EVALUATED[source] | {"TimedCell": 36, "CountedCell": 6}
    folders = Counter(evaluation.folder for cell in cells for evaluation in cell.measured)
    assert (folders["runs"], folders["released"]) == (
        0 if source == "released" else 142,
        0 if source == "trained" else 76,
    )


# ------------------------------------------------------- speed and memory, at the preset's sizes


def test_both_columns_are_one_measurement_at_the_presets_sizes(zoo):
    memory, fps, *_ = zoo().cells
    assert memory.job == fps.job and memory.inputs == [f"speed/{memory.job.key}.json"]
    config = memory.job.config
    assert (config.image_size, config.crop_size, config.classes) == ((32, 32), (32, 48), 2)
    assert config.batch_size == 2  # 4 on two devices
    assert config.model.backbone.width == 4
    assert zoo("full").cells[0].job.config.image_size == (30, 40)


def test_what_changes_the_measurement_changes_its_key_and_the_published_number_does_not(zoo, edit):
    before = zoo().cells[0].job.key
    edit("tables/zoo.yaml", "published: 7.0", "published: 8.0")
    assert zoo().cells[0].job.key == before
    edit("recipes/short.yaml", "batch_size: {value: 4", "batch_size: {value: 8")
    assert zoo().cells[0].job.key != before


def test_speed_needs_the_size_of_a_photograph(zoo, edit):
    edit("datasets/photos.yaml", "photograph: [30, 40]\n", "")
    with pytest.raises(SpecError, match=r"cell 'wide-memory': speed needs the size of a photo"):
        zoo("full")


if __name__ == "__main__":
    found = {
        preset: {source: digests(preset, source) for source in ("trained", "released", "both")}
        for preset in ("paper", "mini", "smoke")
    }
    write_text(GOLDEN, json.dumps(found, indent=1) + "\n")
