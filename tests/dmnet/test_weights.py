"""Which file holds a run's weights, by a `train.json` that somebody else may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dmnet.errors import RunError
from dmnet.weights import trained_weights

WRONG = [[], 1, {}, {"file": "weights.pt"}, {"file": "../weights.pt", "sha256": "0" * 64}]


def test_the_file_in_the_runs_folder(tmp_path: Path) -> None:
    named = {"file": "weights.pt", "sha256": "0" * 64}
    (tmp_path / "train.json").write_text(json.dumps({"weights": named}))
    assert trained_weights(tmp_path) == (tmp_path / "weights.pt", "0" * 64)


@pytest.mark.parametrize("content", [[], "x", {}, *({"weights": wrong} for wrong in WRONG)])
def test_a_manifest_that_names_no_weights_of_its_folder(tmp_path: Path, content: Any) -> None:
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"train\.json: names no weights of its folder"):
        trained_weights(tmp_path)
