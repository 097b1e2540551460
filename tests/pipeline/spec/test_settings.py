"""Every value has an origin; overriding one replaces it."""

from __future__ import annotations

import pytest

from pipeline.errors import SpecError
from pipeline.spec.settings import Setting, override, read_settings, section, to_tree

TREE = {
    "head": {"channels": {"value": 16, "stated": "section 2"}},
    "weights": {"value": {"file": "a.pth"}, "assumed": "torchvision's"},
}


def test_leaves_become_paths_with_value_origin_and_source():
    assert read_settings(TREE, "model.yaml") == {
        "head.channels": Setting(16, "stated", "section 2"),
        "weights": Setting({"file": "a.pth"}, "assumed", "torchvision's"),
    }


def test_the_tree_of_values_comes_back():
    settings = read_settings(TREE, "model.yaml")
    assert to_tree(settings) == {"head": {"channels": 16}, "weights": {"file": "a.pth"}}


@pytest.mark.parametrize(
    "leaf",
    [
        {"value": 1},
        {"value": 1, "guessed": "why not"},
        {"value": 1, "stated": "here", "assumed": "there"},
        {"value": 1, "stated": 7},
    ],
)
def test_a_leaf_without_exactly_one_origin_is_refused(leaf):
    with pytest.raises(SpecError, match=r"model.yaml: `a.b` needs exactly one origin"):
        read_settings({"a": {"b": leaf}}, "model.yaml")


def test_a_bare_value_is_refused_and_the_message_shows_how_to_write_it():
    with pytest.raises(SpecError, match=r"`lr` = 0.1 has no origin; write \{value: 0.1, stated"):
        read_settings({"lr": 0.1}, "recipe.yaml")


def test_override_replaces_value_and_origin_and_leaves_the_original_alone():
    settings = read_settings(TREE, "model.yaml")
    changed = override(settings, {"head.channels": 8}, "preset", "mini.yaml")
    assert changed["head.channels"] == Setting(8, "preset", "mini.yaml")
    assert settings["head.channels"].value == 16


def test_override_of_an_unknown_path_lists_the_known_ones():
    settings = read_settings(TREE, "model.yaml")
    message = "mini.yaml: unknown key `head.size`; expected one of head.channels, weights"
    with pytest.raises(SpecError, match=message):
        override(settings, {"head.size": 8}, "preset", "mini.yaml")


def test_section_takes_whole_names_only():
    settings = {"head.a": 1, "header.b": 2, "head.c.d": 3}
    assert section(settings, "head") == {"a": 1, "c.d": 3}
