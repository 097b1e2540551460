"""What an experiment is asked for."""

from __future__ import annotations

import pytest

from pipeline.errors import SpecError


@pytest.mark.parametrize("seeds", [0, -1, 1.5, "2", True, None, 101, 10**20])
def test_a_number_of_seeds_that_is_none(build, seeds):
    with pytest.raises(SpecError, match="`seeds`.*whole number of at least 1"):
        build(seeds=seeds)
