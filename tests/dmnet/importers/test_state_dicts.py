"""At full width, our model of each published row has the tensors of the reference's, one to one.

tests/golden/state_dicts.json holds names and shapes of all 44 rows' weights, recorded from the
references' own models; tests/golden/{mmseg,ssseg}_rows.json their resolved configurations.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dmnet.config import ModelConfig
from dmnet.importers import ZOOS
from dmnet.segmentor import Segmentor
from tests.dmnet.reference_models import from_mmseg_row, from_ssseg

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def read(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text())


RECORDED = read("state_dicts")
ROWS = {"mmsegmentation": read("mmseg_rows")["rows"], "sssegmentation": read("ssseg_rows")["rows"]}
CASES = [(zoo, config) for zoo, rows in ROWS.items() for config in rows]


def our_row(zoo: str, config: str) -> tuple[ModelConfig, int]:
    row = ROWS[zoo][config]
    if zoo == "mmsegmentation":
        return from_mmseg_row(row)
    return from_ssseg(row), row["num_classes"]


def test_all_rows_are_recorded() -> None:
    assert {zoo: list(rows) for zoo, rows in RECORDED["rows"].items()} == {
        zoo: list(rows) for zoo, rows in ROWS.items()
    }
    assert len(CASES) == 44


@pytest.mark.parametrize(("zoo", "config"), CASES)
def test_names_and_shapes_are_the_references(
    zoo: str, config: str, fidelity: Callable[..., None]
) -> None:
    """Both ways: ours under their names are theirs, and theirs under our names are ours."""
    recorded = RECORDED["models"][RECORDED["rows"][zoo][config]]
    with torch.device("meta"):
        model = Segmentor(*our_row(zoo, config))
        theirs = {name: torch.empty(shape) for name, shape in recorded.items()}
    ours = model.state_dict()
    found = {k: list(v.shape) for k, v in ZOOS[zoo].to_theirs(ours, model).items()}
    fidelity(zoo, f"names and shapes, {config}", found, recorded, source="state_dicts.json")
    back = ZOOS[zoo].to_ours(theirs, model)
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in ours.items()}
