"""A cell's lineage as text, of the toy tables."""

from __future__ import annotations

import re

import pytest

from pipeline.inspection.show.lineage import render_show


@pytest.fixture
def show(tmp_path):
    """Runs of spaces count as one: the columns' widths are no subject of these tests."""

    def render(experiment, cell="toy/wide"):
        return re.sub(r" +", " ", render_show(experiment, cell, tmp_path))

    return render


@pytest.fixture
def both(build):
    """Tables `toy` and `twin`, whose cells wide and same-as-wide share one run."""
    return lambda seeds=1, preset="full": build(preset, seeds, ("toy", "twin"))
