"""At `mini`, the README's own scale, a method learns: one cell of Table 2, from nothing."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.experiments import build_experiment

CELL = "table2/context-aware"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrecorded")]


def test_the_papers_method_is_better_than_the_most_frequent_class_everywhere(template):
    experiment = build_experiment("mini", 1)
    (key,) = [key for key, run in experiment.runs.items() if CELL in run.cells]
    (name,) = [name for run, name in experiment.evaluations if run == key]
    path = f"runs/{key}/evaluations/{name}.json"
    made = template.snakemake(path, preset="mini")
    assert made.code == 0, made.text
    result = template.json(path)
    labelled = np.array(result["confusion_matrix"]).sum(axis=1)
    constant = labelled.max() / labelled.sum() / np.count_nonzero(labelled)
    assert result["miou"] > 2 * constant, (result["miou"], constant)
