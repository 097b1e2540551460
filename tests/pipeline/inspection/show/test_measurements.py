"""A cell that is counted, not trained."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def profiled(build, edit):
    edit(
        "tables/toy.yaml",
        "A: {cell: wide, model: net, published: 70.0}",
        "A: {cell: wide, model: net, published: 3.0, "
        "profile: {measure: macs, per: 1000, input_size: [64, 96]}}",
    )
    return build()


def test_a_profiled_cell_shows_its_file_measure_and_unit(profiled, show, tmp_path):
    profile = profiled.cells[0].job
    text = show(profiled)
    assert f"Profile {profile.key}\n cells toy/wide\n profile {profile.path} (not here)\n" in text
    assert "ours pending\n" in text and "count pending\n" in text
    assert "Seed " not in text
    path = tmp_path / profile.path
    path.parent.mkdir()
    path.write_text(json.dumps({"profile": profile.key, "macs": 2500}))
    text = show(profiled)
    for line in (
        "metric macs",
        "ours 2.50",
        "difference -0.50",
        "source of ours profiled",
        "measure macs",
        "unit 1,000 (the count is divided by it)",
        "input 64 x 96 (height x width), full model width at every preset",
        "count 2,500",
    ):
        assert f"{line}\n" in text, line
