"""A cell's names and values, the preset's numbers over them, checked and blamed on their file."""

from __future__ import annotations

import pytest

from pipeline.errors import SpecError


def test_epochs_become_iterations_by_the_number_of_training_images(build):
    """3 epochs of 10 images in batches of 4."""
    (run, *_) = build().runs.values()
    assert run.job.run.recipe.iterations == 3 * 10 // 4


def test_a_preset_changes_numbers_and_the_dataset(build):
    experiment = build("toy")
    (run, *_) = experiment.runs.values()
    assert run.job.run.recipe.iterations == 7
    assert run.job.run.model.backbone.width == 4
    assert run.job.dataset.name == "drawings"
    assert {cell.published_dataset for cell in experiment.cells} == {"photos"}


def test_a_cells_own_value_stands_over_the_recipe(build):
    quick = build().cells_of("toy")[2]
    assert quick.settings["recipe.lr"].value == 0.5
    assert quick.settings["recipe.lr"].origin == "table"


def test_an_extending_model_replaces_whole_sections(build):
    """`deeper` states its own head, so nothing of `net`'s head is left, but its backbone is."""
    deep = build().cells_of("toy")[1]
    assert deep.settings["head.channels"].source == "section 3"
    assert deep.settings["backbone.width"].source == "somebody"


def test_a_section_without_a_name_replaces_single_settings(build, edit, folder):
    """`deeper` says its own width and nothing else of the backbone, which stays `net`'s."""
    edit("models/deeper.yaml", "head:", 'backbone: {width: {value: 12, stated: "here"}}\nhead:')
    deep = build().cells_of("toy")[1]
    assert (deep.settings["backbone.width"].value, deep.settings["backbone.depth"].value) == (
        12,
        50,
    )
    edit("models/deeper.yaml", "{width:", "{wide:")
    with pytest.raises(Exception, match="unknown key `backbone.wide`"):
        build()


def test_a_cell_without_a_model_is_named(build, edit):
    edit("tables/twin.yaml", ", model: net", "")
    with pytest.raises(SpecError, match=r"twin.yaml: cell 'same-as-wide': no model; name one"):
        build(tables=("twin",))


def test_a_bad_value_of_a_preset_is_blamed_on_the_preset(build, edit, folder):
    edit("presets/toy.yaml", "backbone.width: 4", "backbone.width: 5")
    with pytest.raises(Exception, match="presets/toy.yaml") as caught:
        build("toy")
    assert "backbone.width" in str(caught.value)


def test_accumulation_changes_statistics_so_it_is_shown_and_in_the_key(build, edit):
    before = build().cells_of("toy")[0]
    edit("presets/full.yaml", "log_every: 1", "log_every: 1, processes: 2")
    shared = build().cells_of("toy")[0]
    assert shared.evaluations[0].run_key == before.evaluations[0].run_key  # rounding only
    edit("presets/full.yaml", "processes: 2", "processes: 2, accumulate: 2")
    cell = build().cells_of("toy")[0]
    assert cell.evaluations[0].run_key != before.evaluations[0].run_key
    setting = cell.settings["recipe.bn_parts"]
    assert (setting.value, setting.origin) == (2, "preset")


def test_a_cell_falls_back_to_its_row_and_then_to_its_table(zoo):
    wide, deep = zoo("full").cells[2:]
    assert (wide.settings["head.name"].value, wide.settings["recipe.lr"].value) == ("fcn", 0.5)
    assert (deep.settings["head.name"].value, deep.settings["recipe.lr"].value) == ("dmnet", 0.75)
    assert {cell.published_dataset for cell in (wide, deep)} == {"photos"}


def test_a_preset_replaces_values_of_a_protocol_by_its_name(zoo, edit):
    edit("presets/toy.yaml", "execution:", "inference: {plain: {fit_size: [16, 24]}}\nexecution:")
    cell = zoo().cells[2]
    assert cell.evaluations[0].config.inference.fit_size == (16, 24)
    assert zoo("full").cells[2].evaluations[0].config.inference.fit_size is None
    edit("presets/toy.yaml", "fit_size: [16, 24]", "fit: [16, 24]")
    with pytest.raises(Exception, match=r"presets/toy.yaml: inference 'plain': unknown key `fit`"):
        zoo()


def test_a_protocol_s_settings_stand_beside_the_model_s_and_the_recipe_s(zoo, edit):
    """With the preset's values over them; the speed of a row is measured by its protocol, too."""
    edit("presets/toy.yaml", "execution:", "inference: {plain: {fit_size: [16, 24]}}\nexecution:")
    for cell in zoo().cells[1:3]:
        scales, fit = cell.settings["inference.scales"], cell.settings["inference.fit_size"]
        assert (scales.value, scales.origin, scales.source) == ([1.0], "assumed", "one")
        assert (fit.value, fit.origin) == ([16, 24], "preset")


def test_a_preset_puts_another_protocol_in_the_place_of_a_table_s(zoo, edit, folder):
    before = zoo().cells[2].evaluations[0]
    (folder / "inference" / "tall.yaml").write_text(
        "title: Tall\nextends: plain\n"
        'settings: {fit_size: {value: [40, 30], stated: "section 6"}}\n'
    )
    edit("presets/toy.yaml", "execution:", "protocols: {plain: tall}\nexecution:")
    cell = zoo().cells[2]
    (after,) = cell.evaluations
    assert after.config.inference.fit_size == (40, 30)
    assert after.name.startswith("tall-val-") and after.run_key == before.run_key
    assert cell.settings["inference.fit_size"].source == "section 6"
    edit("presets/toy.yaml", "plain: tall", "plain: high")
    with pytest.raises(SpecError, match=r"presets/toy\.yaml: unknown inference 'high'.* tall"):
        zoo()


def test_a_presets_numbers_for_a_recipe_hold_for_those_that_extend_it(zoo, edit, folder):
    (folder / "recipes" / "longer.yaml").write_text(
        'title: Longer\nextends: short\nsettings: {epochs: {value: 9, stated: "here"}}\n'
    )
    edit("tables/zoo.yaml", "model: deeper, recipe: short", "model: deeper, recipe: longer")
    edit("presets/toy.yaml", "execution:", "recipes: {short: {recipe.lr: 9.0}}\nexecution:")
    assert [cell.settings["recipe.lr"].value for cell in zoo().cells[2:]] == [9.0, 9.0]
    edit("presets/toy.yaml", "recipe.lr: 9.0}", "recipe.lr: 9.0}, longer: {recipe.lr: 8.0}")
    assert [cell.settings["recipe.lr"].value for cell in zoo().cells[2:]] == [9.0, 8.0]


def test_a_presets_numbers_for_a_model_hold_for_those_that_extend_it(build, edit):
    edit("presets/toy.yaml", "execution:", "models: {net: {backbone.width: 8}}\nexecution:")
    assert [c.settings["backbone.width"].value for c in build("toy").cells] == [8, 8, 8]
    edit("presets/toy.yaml", "width: 8}", "width: 8}, deeper: {backbone.width: 16}")
    wide, deep, _ = build("toy").cells
    assert (wide.settings["backbone.width"].value, deep.settings["backbone.width"].value) == (8, 16)


@pytest.mark.parametrize(("kind", "known"), [("models", "deeper, net"), ("recipes", "short")])
def test_a_presets_numbers_for_a_model_or_recipe_that_there_is_not(build, edit, kind, known):
    edit("presets/toy.yaml", "execution:", f"{kind}: {{nett: {{recipe.lr: 1.0}}}}\nexecution:")
    with pytest.raises(SpecError, match=rf"presets/toy.yaml: `{kind}`: .*'nett'; .*{known}"):
        build("toy")


def test_whole_batches_of_an_epoch_count_the_images_that_fill_up_the_last_share(zoo, edit):
    """10 images on 3 devices are 12; 3 epochs of 12 // 6 batches. Without drop_last 30 // 6."""
    edit("recipes/short.yaml", "devices: {value: 2", "devices: {value: 3")
    edit("recipes/short.yaml", "batch_size: {value: 4", "batch_size: {value: 6")
    assert zoo("full").cells[2].settings["recipe.iterations"].value is None
    (wide, _) = zoo("full").runs.values()
    assert wide.job.run.recipe.iterations == 30 // 6
    edit("recipes/short.yaml", "drop_last: {value: false", "drop_last: {value: true")
    (wide, _) = zoo("full").runs.values()
    assert wide.job.run.recipe.iterations == 3 * 2
