"""The speeds of `params/costs.yaml`."""

from __future__ import annotations

import pytest

from pipeline.costs import Costs
from pipeline.errors import SpecError


@pytest.mark.parametrize("content", [{}, {"cpu": {}}, {"cpu": None}, {"cpu": {"title": "x"}}])
def test_incomplete_costs_are_named(content):
    with pytest.raises(SpecError, match=r"params/costs.yaml: `cpu` needs title"):
        Costs.read(content, "cpu")
