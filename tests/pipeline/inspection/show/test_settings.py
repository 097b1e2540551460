"""Every setting with where its value comes from."""

from __future__ import annotations


def test_settings_come_with_value_origin_and_source_assumed_ones_first(both, show):
    text = show(both(preset="toy"), "toy/quick")
    head, _, rows = text.partition("\nsetting value origin source\n")
    lines = [line.strip() for line in rows.splitlines()[1:]]
    assumed = [line for line in lines if " assumed " in line]
    assert head.endswith(f"Settings: {len(lines)}, of which {len(assumed)} assumed")
    assert lines[: len(assumed)] == assumed
    # Part by part; what the code does in one way only is among them.
    told = [
        'backbone.stride_in "3x3" assumed the default',
        "head.channels 16 assumed a guess",
        "align_corners false assumed a guess",
        "recipe.weight_decay 0.0 assumed none",
        'recipe.gradient_clipping "none" assumed the default',
    ]
    assert [line for line in lines if line in told] == told
    assert 'head.name "fcn" stated section 2' in lines
    by_name = {line.split()[0]: line for line in lines}
    assert by_name["recipe.lr"].startswith("recipe.lr 0.5 table ")
    assert by_name["recipe.lr"].endswith("toy.yaml: cell 'quick'")
    assert by_name["backbone.width"].endswith("presets/toy.yaml")
