"""Which run and which images a table sends to a test server."""

from __future__ import annotations

import pytest

from pipeline.errors import SpecError
from pipeline.experiments import build_experiment, find_submission


def test_the_cells_protocol_on_the_test_split():
    experiment = build_experiment("mini", tables=["table7"])
    submission = find_submission(experiment, "table7")
    miou = next(cell for cell in experiment.cells if cell.name == "miou")
    measured = miou.evaluations[0]
    assert submission.run_key == measured.run_key
    assert submission.config.inference == measured.config.inference
    assert (submission.config.split, measured.config.split) == ("test", "val")
    assert submission.config.data.name == "voc2012-test-procedural"
    assert submission.name.startswith("ms-flip-test-")


def test_at_the_papers_scale_the_real_photographs_are_meant():
    experiment = build_experiment("paper", tables=["table7"])
    assert find_submission(experiment, "table7").dataset.counts == {"test": 1456}
    assert "voc2012-test" in experiment.datasets


def test_runs_of_other_classes_have_no_submission():
    experiment = build_experiment("small", tables=["table7"])
    with pytest.raises(SpecError, match="not offered at preset 'small'.*camvid, 11 classes"):
        find_submission(experiment, "table7")
    assert list(experiment.datasets) == ["camvid"]


def test_other_tables_have_no_submission():
    with pytest.raises(SpecError, match=r"table6\.yaml has no `submission`"):
        find_submission(build_experiment("mini", tables=["table6"]), "table6")
