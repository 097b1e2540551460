"""Presets: one may extend another, and then says only what differs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dmnet.errors import DMNetError
from pipeline.spec.presets import load_preset

PRESETS = Path(__file__).resolve().parents[3] / "params" / "presets"


@pytest.fixture
def folder(tmp_path):
    """The shipped presets, to which a test adds its own."""
    shutil.copytree(PRESETS, tmp_path / "presets")
    return tmp_path / "presets"


def test_what_is_not_said_is_the_extended_preset_s(folder):
    (folder / "site.yaml").write_text(
        "title: ours\nextends: paper\nset: {recipe.lr: 0.5}\n"
        "recipes: {mmseg: {recipe.min_lr: 0.1}}\nexecution: {processes: 4}\ngpus: 4\n"
    )
    paper, site = load_preset(folder, "paper"), load_preset(folder, "site")
    assert (site.title, site.gpus) == ("ours", 4)
    assert site.settings == {**paper.settings, "recipe.lr": 0.5}
    assert site.recipes == {**paper.recipes, "mmseg": {"recipe.min_lr": 0.1}}
    assert site.execution == paper.execution.model_copy(update={"processes": 4})
    assert (site.judged, site.shows, site.datasets) == (paper.judged, paper.shows, paper.datasets)


def test_a_recipe_s_values_add_up_and_a_nested_value_is_replaced_whole(folder):
    (folder / "base.yaml").write_text(
        "title: base\nextends: mini\nrecipes:\n"
        "  mmseg: {recipe.lr: 1, recipe.ohem: {threshold: 0.7, min_kept: 90}}\n"
    )
    (folder / "leaf.yaml").write_text(
        "title: leaf\nextends: base\nrecipes: {mmseg: {recipe.ohem: {threshold: 0.5}}}\n"
    )
    mini, leaf = load_preset(folder, "mini"), load_preset(folder, "leaf")
    expected = {**mini.recipes["mmseg"], "recipe.lr": 1, "recipe.ohem": {"threshold": 0.5}}
    assert leaf.recipes["mmseg"] == expected


def test_smoke_is_mini_with_fewer_iterations_windows_and_scales_and_nothing_else():
    mini, smoke = load_preset(PRESETS, "mini"), load_preset(PRESETS, "smoke")
    told = {"title", "extends", "shows", "settings", "recipes", "execution", "inference"}
    assert smoke.model_dump(exclude=told) == mini.model_dump(exclude=told)
    changed = {k for k, v in smoke.settings.items() if mini.settings[k] != v}
    for name, values in mini.recipes.items():
        changed |= {k for k, v in values.items() if smoke.recipes[name][k] != v}
        if "recipe.iterations" in values:
            assert smoke.recipes[name]["recipe.iterations"] <= 12, name
    assert changed == {"recipe.iterations", "recipe.warmup_iterations"}
    cheaper = ("stride", "scales")
    for name, values in smoke.inference.items():
        kept = {key: value for key, value in values.items() if key not in cheaper}
        own = mini.inference.get(name, {})
        assert kept == {key: value for key, value in own.items() if key not in cheaper}
        assert values.get("scales", [0.5, 1.0]) == [0.5, 1.0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("extends: min\n", "site.yaml: `extends`: unknown preset 'min'; expected one of mini, "),
        ("extends: site\n", "site.yaml: extends itself (site -> site)"),
        ("extends: mini\ngpu: 4\n", "site.yaml: unknown key `gpu`"),
        ("extends: 5\n", "site.yaml: "),
        ("extends: mini\nset: 5\n", "site.yaml: `set`"),
    ],
)
def test_a_fault_names_the_file_and_the_key(folder, text, told):
    (folder / "site.yaml").write_text("title: ours\n" + text)
    with pytest.raises(DMNetError) as error:
        load_preset(folder, "site")
    assert told in str(error.value)


def test_a_fault_of_the_extended_preset_names_that_one(folder):
    (folder / "base.yaml").write_text("title: base\nextends: mini\njudge: true\n")
    (folder / "site.yaml").write_text("title: ours\nextends: base\n")
    with pytest.raises(DMNetError, match=r"base\.yaml: unknown key `judge`"):
        load_preset(folder, "site")


def test_mini_s_evaluations_are_plain_and_those_of_photographs_are_optimised():
    """At mini, building the optimised form would take longer than it saves."""
    found = {name: load_preset(PRESETS, name).optimised_from for name in ("mini", "smoke")}
    assert found == {"mini": None, "smoke": None}
    assert all(load_preset(PRESETS, name).optimised_from for name in ("small", "paper"))
