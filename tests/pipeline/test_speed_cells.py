"""Cells for speed and memory, sub-tables, and rows with defaults, on the toy tables."""

from __future__ import annotations

import json

import pytest

from pipeline.claims import NOT_COMPARABLE
from pipeline.dvc_views import points_of
from pipeline.errors import ResultError, SpecError
from pipeline.failures import failure_of
from pipeline.page import linked, render_page
from pipeline.plan import render_plan
from pipeline.render import render_markdown
from pipeline.report import build_report, cells_of, device_text
from pipeline.results import read_cell
from pipeline.show import render_show
from pipeline.specs import Params

ZOO = """\
title: Zoo
source: a zoo's README
unit: mIoU %, GB, frames per second
column_decimals: {Mem: 1}
columns: [Kind, Mem, Fps, mIoU, Download]
defaults: {dataset: photos, inference: plain}
rows:
  - heading: Rooms
    Kind: first
    defaults: {model: net, recipe: short, with: {recipe.lr: 0.5}}
    Mem: {cell: wide-memory, speed: {measure: memory}, published: 7.0}
    Fps: {cell: wide-fps, speed: {measure: frames_per_second}, published: 3.66}
    mIoU: {cell: wide, published: 70.0}
    Download: "[model](https://example.org/a.pth) &#124; [log](https://example.org/a.log)"
  - heading: Streets
    Kind: second
    defaults: {model: deeper, recipe: short}
    Mem: "-"
    Fps: "-"
    mIoU: {cell: deep, published: 60.0, with: {recipe.lr: 0.75}}
"""


@pytest.fixture
def zoo(folder, edit, build):
    """The experiment of the table `zoo` at a preset; photographs are 30 x 40, drawings 32 x 32."""
    (folder / "tables" / "zoo.yaml").write_text(ZOO)
    edit("datasets/photos.yaml", "counts:", "photograph: [30, 40]\ncounts:")
    edit("recipes/short.yaml", "  crop_size", '  devices: {value: 2, stated: "name"}\n  crop_size')

    def make(preset="toy"):
        return build(preset, tables=("zoo",))

    return make


@pytest.fixture
def measured(zoo, finish, tmp_path):
    """Everything measured: 12.5 frames a second, 3 GiB, mIoU 50 and 40 %."""
    experiment = zoo()
    for cell, miou in zip(experiment.cells[2:], (0.5, 0.4), strict=True):
        finish(cell.evaluations[0], miou)
    (speed,) = experiment.speeds.values()
    path = tmp_path / speed.path
    path.parent.mkdir()
    content = {
        "speed": speed.key,
        "frames_per_second": 12.5,
        "memory_bytes": 3 * 2**30,
        "memory_kind": "process peak RSS",
        "device": {"type": "cpu", "name": "a processor", "threads": 2},
    }
    path.write_text(json.dumps(content))
    return experiment


def test_a_cell_falls_back_to_its_row_and_then_to_its_table(zoo):
    wide, deep = zoo("full").cells[2:]
    assert (wide.settings["head.name"].value, wide.settings["recipe.lr"].value) == ("fcn", 0.5)
    assert (deep.settings["head.name"].value, deep.settings["recipe.lr"].value) == ("dmnet", 0.75)
    assert {cell.published_dataset for cell in (wide, deep)} == {"photos"}


def test_labels_are_the_rows_texts_without_heading_and_links(zoo):
    assert [cell.row for cell in zoo().cells] == ["first"] * 3 + ["second - -"]


def test_both_columns_are_one_measurement_at_the_presets_sizes(zoo):
    memory, fps, *_ = zoo().cells
    assert memory.speed == fps.speed and memory.inputs == [f"speed/{memory.speed.key}.json"]
    config = memory.speed.config
    assert (config.image_size, config.crop_size, config.classes) == ((32, 32), (32, 48), 2)
    assert config.batch_size == 2  # 4 on two devices
    assert config.model.backbone.width == 4
    assert zoo("full").cells[0].speed.config.image_size == (30, 40)


def test_what_changes_the_measurement_changes_its_key_and_the_published_number_does_not(zoo, edit):
    before = zoo().cells[0].speed.key
    edit("tables/zoo.yaml", "published: 7.0", "published: 8.0")
    assert zoo().cells[0].speed.key == before
    edit("recipes/short.yaml", "batch_size: {value: 4", "batch_size: {value: 8")
    assert zoo().cells[0].speed.key != before


def test_a_preset_replaces_values_of_a_protocol_by_its_name(zoo, edit):
    edit("presets/toy.yaml", "execution:", "inference: {plain: {fit_size: [16, 24]}}\nexecution:")
    cell = zoo().cells[2]
    assert cell.evaluations[0].config.inference.fit_size == (16, 24)
    assert zoo("full").cells[2].evaluations[0].config.inference.fit_size is None
    edit("presets/toy.yaml", "fit_size: [16, 24]", "fit: [16, 24]")
    with pytest.raises(Exception, match=r"presets/toy.yaml: inference 'plain': unknown key `fit`"):
        zoo()


def test_speed_is_that_of_the_form_that_evaluations_use(zoo, edit):
    (plain,) = {speed.config.optimised for speed in zoo().speeds.values()}
    edit("presets/toy.yaml", "execution:", "optimised_from: 40\nexecution:")
    (fast,) = {speed.config.optimised for speed in zoo().speeds.values()}
    assert (plain, fast) == (False, True)
    content = {"device": {"type": "cuda", "name": "a GPU"}, "form": "optimised"}
    assert device_text(content) == "cuda, a GPU, optimised form"
    assert device_text(content | {"form": "plain"}) == "cuda, a GPU"


def test_a_presets_numbers_for_a_recipe_hold_for_those_that_extend_it(zoo, edit, folder):
    (folder / "recipes" / "longer.yaml").write_text(
        'title: Longer\nextends: short\nsettings: {epochs: {value: 9, stated: "here"}}\n'
    )
    edit("tables/zoo.yaml", "model: deeper, recipe: short", "model: deeper, recipe: longer")
    edit("presets/toy.yaml", "execution:", "recipes: {short: {recipe.lr: 9.0}}\nexecution:")
    assert [cell.settings["recipe.lr"].value for cell in zoo().cells[2:]] == [9.0, 9.0]
    edit("presets/toy.yaml", "recipe.lr: 9.0}", "recipe.lr: 9.0}, longer: {recipe.lr: 8.0}")
    assert [cell.settings["recipe.lr"].value for cell in zoo().cells[2:]] == [9.0, 8.0]


def test_whole_batches_of_an_epoch_count_the_images_that_fill_up_the_last_share(zoo, edit):
    """10 images on 3 devices are 12; 3 epochs of 12 // 6 batches. Without drop_last 30 // 6."""
    edit("recipes/short.yaml", "devices: {value: 2", "devices: {value: 3")
    edit("recipes/short.yaml", "batch_size: {value: 4", "batch_size: {value: 6")
    assert zoo("full").cells[2].settings["recipe.iterations"].value is None
    (wide, _) = zoo("full").runs.values()
    assert wide.job.run.recipe.iterations == 30 // 6
    edit(
        "recipes/short.yaml", "  crop_size", '  drop_last: {value: true, stated: "x"}\n  crop_size'
    )
    (wide, _) = zoo("full").runs.values()
    assert wide.job.run.recipe.iterations == 3 * 2


# ------------------------------------------------------------------------------------- reports


def test_a_report_has_a_sub_table_for_each_heading(measured, tmp_path):
    text = render_markdown(build_report(measured, "zoo", tmp_path))
    rooms, streets = text.split("\n## Rooms\n")[1].split("\n## Streets\n")
    assert rooms.splitlines()[3].split("|")[1:-1] == [
        *(" first  ", "             7.0 ", "                3.00 "),
        *("            3.66 ", "               12.50 "),
        *("            70.00 ", "  50.00 ", " -20.00 "),
        " [model](https://example.org/a.pth) &#124; [log](https://example.org/a.log) ",
    ]
    assert "| second |" in streets and "first" not in streets.split("\n\n")[1]


def test_the_device_is_named_and_nothing_of_it_is_judged(measured, tmp_path):
    report = build_report(measured, "zoo", tmp_path)
    text = render_markdown(report)
    device = "cpu, a processor, 2 threads (memory: process peak RSS)"
    assert report["devices"] == [device]
    assert f"ours for this one ({device}): they have no Δ and are never judged" in text
    memory, fps, *_ = cells_of(report)
    for cell in (memory, fps):
        assert (cell["source"], cell["difference"], cell["spread"]) == ("profiled", None, None)
        assert cell["verdict"]["status"] == NOT_COMPARABLE


def test_at_the_published_scale_speed_is_not_judged_either(zoo, rules):
    rules.check(zoo("full"))  # and needs no rule


def test_dvc_and_the_page_compare_no_two_devices(measured, tmp_path):
    report = json.loads(json.dumps(build_report(measured, "zoo", tmp_path)))
    assert points_of(report).splitlines() == [
        "cell,published,ours",
        "wide,70.0,50.0",
        "deep,60.0,40.0",
    ]
    html = render_page({"zoo": report}, [], {})
    assert '<a href="https://example.org/a.pth" rel="noreferrer">model</a> | ' in html
    assert ">Rooms</th>" in html and ">Streets</th>" in html
    assert "mIoU, %</b>, 2 cells" in html and "frames per second" not in html.split("<h2>Zoo")[0]


def test_a_label_that_is_no_link_stays_text():
    assert linked("[x](javascript:alert(1))") == [("[x](javascript:alert(1))", None)]
    assert linked("a &#124; b") == [("a | b", None)]


def test_plan_and_show_know_measurements(measured, folder, tmp_path):
    text = render_plan(measured, Params(folder).costs(), tmp_path)
    assert "4 cells, 2 training runs, 2 evaluations, 14 iterations" in text
    assert "1 measurements of speed and memory, of which 1 done" in text
    text = render_show(measured, "zoo/wide-memory", tmp_path)
    assert "zoo/wide-memory, zoo/wide-fps" in text
    assert "2 crops of 32 x 48 (height x width) on one device, fp32" in text
    assert "cpu, a processor, 2 threads" in text and "never judged" in text


def test_a_foreign_measurement_is_refused(measured, tmp_path):
    (speed,) = measured.speeds.values()
    (tmp_path / speed.path).write_text('{"speed": "other"}')
    with pytest.raises(ResultError, match="of another measurement"):
        read_cell(measured.cells[0], measured, tmp_path)


def test_a_measurement_without_a_result_is_pending_or_failed(zoo, tmp_path):
    experiment = zoo()
    cell = experiment.cells[0]
    assert read_cell(cell, experiment, tmp_path).source == "pending"
    mark = tmp_path / "logs" / "speed" / f"{cell.speed.key}.failed.json"
    assert failure_of(cell, experiment, tmp_path) is None
    assert not mark.exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("heading: Rooms", "heading: 7", "`heading` = 7.0; expected a text"),
        ("Kind: second", "Kind: {model: net}", "column 'Kind': the key `cell` is missing"),
        ("defaults: {model: net, ", "defaults: {cell: x, model: net, ", "`defaults` names no cell"),
        ("defaults: {model: net, ", "defaults: {modell: net, ", "unknown key .*modell`"),
        ("{Mem: 1}", "{Memory: 1}", "`column_decimals` names the unknown column 'Memory'"),
        ("[Kind, Mem", "[heading, Mem", "'heading', which is a key of rows"),
        ("measure: memory", "measure: heat", "measure"),
        (
            "speed: {measure: memory}",
            "speed: {measure: memory}, profile: {measure: macs, input_size: [64, 64]}",
            "two kinds of cells",
        ),
    ],
)
def test_a_malformed_row_is_refused_with_the_tables_file(zoo, edit, folder, old, new, words):
    edit("tables/zoo.yaml", old, new)
    with pytest.raises(Exception, match=words) as caught:
        zoo()
    assert str(folder / "tables" / "zoo.yaml") in str(caught.value)


def test_speed_needs_the_size_of_a_photograph(zoo, edit):
    edit("datasets/photos.yaml", "photograph: [30, 40]\n", "")
    with pytest.raises(SpecError, match=r"cell 'wide-memory': speed needs the size of a photo"):
        zoo("full")
