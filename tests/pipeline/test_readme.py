"""The counts that the README gives are those of `params/` as it is; claims: test_claims.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.experiments import build_experiment
from pipeline.spec.params import Params

ROOT = Path(__file__).parents[2]
PAPER = tuple(f"table{n}" for n in range(1, 10))
ZOOS = ("mmseg_dmnet", "mmseg_deeplabv3", "mmseg_bisenetv2", "ssseg_dmnet")


@pytest.fixture(scope="module")
def readme():
    return " ".join((ROOT / "README.md").read_text().split())


def counts(tables):
    experiment = build_experiment("mini", 1, tables, Params(ROOT / "params"))
    return len(experiment.cells), len(experiment.runs)


def has_published_number(row):
    """BiSeNetV2's row `as released` is ours, not its README's."""
    return any(getattr(entry, "published", None) is not None for entry in row.values())


def test_the_papers_tables(readme):
    (cells, runs), (first_cells, first_runs) = counts(PAPER), counts(PAPER[:2])
    assert (
        f"Tables 1 to 9: {cells} cells, which share {runs} training runs; Tables 1 and 2 alone "
        f"{first_cells} cells and {first_runs} runs."
    ) in readme


def test_the_zoos_tables(readme):
    tables = [Params(ROOT / "params").table(name) for name in ZOOS]
    rows = sum(has_published_number(row) for table in tables for row in table.rows)
    cells, runs = counts(ZOOS)
    assert (
        f"The {rows} rows of the two model zoos and one of ours are {cells} cells and {runs} runs"
    ) in readme
