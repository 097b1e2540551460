"""The speeds of `params/costs.yaml`."""

from __future__ import annotations

import pytest

from pipeline.errors import SpecError
from pipeline.spec.costs import Costs


@pytest.mark.parametrize("content", [{}, {"cpu": {}}, {"cpu": None}, {"cpu": {"title": "x"}}])
def test_incomplete_costs_are_named(content):
    with pytest.raises(SpecError, match=r"params/costs.yaml: `cpu` needs title"):
        Costs.of_a_cpu(content)
