"""What MLflow is told passes the schemas of results first, as points in it are never taken back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dmnet.files import write_json
from pipeline.errors import ResultError
from pipeline.tracking.runs import read_finished

KEY = "0123456789abcdef"
FILE = {"file": "weights.pt", "sha256": "0" * 64}


def test_a_number_out_of_range_is_never_recorded(tmp_path):
    folder = tmp_path / "released" / KEY
    checkpoint = FILE | {"name": "a", "verified": True}
    write_json(folder / "train.json", {"weights": FILE, "checkpoint": checkpoint})
    evaluated = {"run": KEY, "evaluation_hash": "0" * 64, "weights_sha256": "0" * 64}
    evaluated |= {"data_fingerprint": "0" * 64, "images": 4, "majority_class_miou": 0.1, "miou": 7}
    write_json(folder / "evaluations" / "a.json", evaluated)
    evaluation = SimpleNamespace(name="a", path=f"released/{KEY}/evaluations/a.json")
    experiment = SimpleNamespace(evaluations={(KEY, "a"): evaluation})
    with pytest.raises(ResultError, match="miou"):
        read_finished(experiment, SimpleNamespace(key=KEY), tmp_path)
