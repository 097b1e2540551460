"""The model zoos' README rows: which cells and runs they are, at each preset.

Their numbers and links are in test_sources.py, their recipes in test_released_recipes.py.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from dmnet.inference.augmented import size_at_scale
from pipeline.errors import SpecError
from pipeline.experiments import build_experiment
from pipeline.experiments.cells import TimedCell
from pipeline.spec.params import Params

ROOT = Path(__file__).resolve().parents[3]
ZOOS = ("mmseg_dmnet", "mmseg_deeplabv3", "mmseg_bisenetv2", "ssseg_dmnet")


@pytest.fixture(scope="module")
def params():
    return Params(ROOT / "params")


@pytest.fixture(scope="module")
def paper(params):
    return build_experiment("paper", params=params)


@pytest.fixture(scope="module")
def paper_1x(params):
    """The same with the test scales of release 1.2.2."""
    return build_experiment("paper-1x", params=params)


@pytest.fixture(scope="module")
def mini(params):
    return build_experiment("mini", params=params)


def keys_of(cells):
    return {e.run_key for cell in cells for e in cell.measured}


def test_labels_hold_no_links(params):
    for table in ZOOS:
        for label, _, _ in params.table(table).cells():
            assert "http" not in label and "](" not in label


# ------------------------------------------------------------------------------------- counts


def test_112_cells_of_44_rows_and_two_of_ours(paper):
    cells = [cell for cell in paper.cells if cell.table in ZOOS]
    assert sum(cell.spec.published is not None for cell in cells) == 36 + 48 + 16 + 12
    assert len(keys_of(cells)) == 44
    ours = [cell.id for cell in cells if cell.spec.published is None]
    assert ours == [
        "mmseg_bisenetv2/ohem-as-released",
        "mmseg_bisenetv2/ohem-as-released-ms-flip",
    ]


def test_the_whole_plan(paper):
    """70 + 112 + 2 cells on 38 + 44 runs.

    The paper's part is 69 + 1 and 37 + 1: Table 8 stands for Pascal-Context with 60 and with 59
    classes, two runs, of which only the first has a published number.
    """
    assert (len(paper.cells), len(paper.runs)) == (70 + 112 + 2, 38 + 44)
    table8 = [cell.spec.published for cell in paper.cells_of("table8")]
    assert table8 == [54.4, None]


def test_ohem_as_released_is_the_plain_rows_run_and_as_titled_is_not(paper):
    cells = {cell.name: cell for cell in paper.cells_of("mmseg_bisenetv2")}
    plain, released, titled = cells["plain"], cells["ohem-as-released"], cells["ohem"]
    assert released.evaluations == plain.evaluations
    assert keys_of([titled]).isdisjoint(keys_of([plain]))
    chosen = {"threshold": 0.7, "min_kept": 10000, "parts": 4}  # by each GPU
    assert titled.settings["recipe.ohem"].value == chosen
    # The published numbers belong to the row as titled alone.
    assert (titled.spec.published, released.spec.published) == (73.57, None)


def test_a_row_is_one_run_and_its_two_mious_two_protocols(paper):
    rows = defaultdict(list)
    for cell in paper.cells:
        if cell.table.startswith("mmseg") and cell.measured:
            rows[cell.table, cell.name.removesuffix("-ms-flip")].append(cell)
    assert len(rows) == 12 + 16 + 5
    for single, multi in rows.values():
        assert keys_of([single]) == keys_of([multi])
        first, second = (cell.evaluations[0].config.inference for cell in (single, multi))
        assert (first.scales, first.flip) == ((1.0,), False)
        assert (second.scales, second.flip) == ((0.5, 0.75, 1.0, 1.25, 1.5, 1.75), True)
        assert (first.mode, first.window) == (second.mode, second.window)


# ---------------------------------------------------------------------------------- test scales

# What releases 0.x show a network of a photograph: img_scale times 0.5 to 1.75, rounded down, is
# the box that it is fitted into. By hand; of 375x500 the short sides are 512 times that.
VOC_0X = [(256, 341), (384, 512), (512, 683), (640, 853), (768, 1024), (896, 1195)]
VOC_1X = [(188, 250), (281, 375), (375, 500), (469, 625), (563, 750), (656, 875)]
STREET = [(512, 1024), (768, 1536), (1024, 2048), (1280, 2560), (1536, 3072), (1792, 3584)]
STREET_769 = [(512, 1024), (768, 1536), (1025, 2049), (1281, 2561), (1537, 3073), (1793, 3585)]


def sizes_seen(experiment, cell_id, photograph):
    (cell,) = [cell for cell in experiment.cells if cell.id == cell_id]
    protocol = cell.evaluations[0].config.inference
    return [size_at_scale(*photograph, s, protocol.fit_size) for s in protocol.scales]


@pytest.mark.parametrize(
    ("cell", "photograph", "of_0x", "of_1x"),
    [
        ("mmseg_deeplabv3/voc-r50-20k-ms-flip", (375, 500), VOC_0X, VOC_1X),
        ("mmseg_dmnet/ade20k-r50-80k-ms-flip", (375, 500), VOC_0X, VOC_1X),
        ("mmseg_dmnet/cityscapes-r50-512x1024-40k-ms-flip", (1024, 2048), STREET, STREET),
        ("mmseg_bisenetv2/plain-ms-flip", (1024, 2048), STREET, STREET),
        ("mmseg_dmnet/cityscapes-r50-769x769-40k-ms-flip", (1024, 2048), STREET_769, STREET),
    ],
)
def test_rows_have_the_test_scales_of_the_releases_that_made_their_numbers(
    paper, paper_1x, cell, photograph, of_0x, of_1x
):
    assert sizes_seen(paper, cell, photograph) == of_0x
    assert sizes_seen(paper_1x, cell, photograph) == of_1x


def test_the_other_release_s_scales_are_other_evaluations_of_the_same_runs(paper, paper_1x):
    assert list(paper.runs) == list(paper_1x.runs)
    for one, other in zip(paper.cells, paper_1x.cells, strict=True):
        changed = [e.name for e in one.measured] != [e.name for e in other.measured]
        assert changed == (one.table.startswith("mmseg") and one.name.endswith("-ms-flip"))


# ------------------------------------------------------------------------------------- presets


def distinctions(experiment):
    """Row -> what tells it from others; the values do not matter, only which are equal."""
    found = {}
    for cell in experiment.cells:
        if cell.table in ZOOS and cell.measured:
            run = experiment.runs[cell.evaluations[0].run_key].job.run
            recipe, inference = run.recipe, cell.evaluations[0].config.inference
            found[cell.id] = {
                "iterations": recipe.iterations,
                "crop": recipe.crop_size,
                "fit": recipe.fit_size,
                "warm-up": recipe.warmup_iterations > 0,
                "min_lr": recipe.min_lr / recipe.lr,
                "ohem": recipe.ohem is not None,
                "precision": recipe.precision,
                "inference": (inference.mode, inference.flip, len(inference.scales)),
                "test fit": inference.fit_size,
                "window": inference.window,
            }
    return found


@pytest.mark.parametrize("name", ["mini", "small"])
def test_at_a_smaller_scale_rows_differ_in_what_they_differ_in_at_the_published_one(
    params, paper, name
):
    full, scaled = distinctions(paper), distinctions(build_experiment(name, params=params))
    for table in ZOOS:
        cells = [cell for cell in full if cell.startswith(f"{table}/")]
        for what in ("iterations", "crop", "fit", "test fit", "window", "inference", "warm-up"):
            # Two rows that differ here are told apart by the same quantity there.
            groups = defaultdict(set)
            for cell in cells:
                groups[full[cell][what]].add(scaled[cell][what])
            values = [value for group in groups.values() for value in group]
            assert len(values) == len(set(values)) == len(groups), (table, what, dict(groups))
    for cell, quantities in full.items():
        assert scaled[cell]["ohem"] == quantities["ohem"]
        assert scaled[cell]["min_lr"] == pytest.approx(quantities["min_lr"], rel=4), cell


@pytest.mark.parametrize("name", ["paper", "small", "mini", "smoke"])
def test_a_batch_has_as_many_parts_as_devices_at_every_scale(params, name):
    """And BiSeNetV2's backbone normalises two images or more at once."""
    parts = Counter()
    experiment = build_experiment(name, params=params)
    for cell in experiment.cells:
        if cell.table in ZOOS and cell.measured:
            devices = cell.settings["recipe.devices"].value
            recipe = experiment.runs[cell.evaluations[0].run_key].job.run.recipe
            ohem = None if recipe.ohem is None else recipe.ohem.parts
            chosen = {"backbone": recipe.backbone_bn_parts, "ohem": ohem}
            chosen["loss"] = recipe.loss_parts if cell.table.startswith("ssseg") else None
            for what, found in chosen.items():
                assert found in (None, devices), (cell.id, what)
                parts[what] += found is not None
            assert recipe.batch_size // (recipe.backbone_bn_parts or 1) >= 2
    assert parts == {"backbone": 10, "ohem": 2, "loss": 12}


def test_parts_that_no_device_holds_are_refused(tmp_path):
    shutil.copytree(ROOT / "params", tmp_path / "params")
    text = "title: ours\nextends: mini\nrecipes: {ssseg: {recipe.devices: 4}}\n"
    (tmp_path / "params" / "presets" / "ours.yaml").write_text(text)
    with pytest.raises(SpecError, match=r"ours.*`recipe.loss_parts` = 2, .*devices` = 4.*set both"):
        build_experiment("ours", params=Params(tmp_path / "params"))


def test_mini_trains_every_row_by_itself(mini):
    assert len(keys_of(cell for cell in mini.cells if cell.table in ZOOS)) == 44
    names = {cell.dataset.name for cell in mini.cells if cell.table in ZOOS and cell.measured}
    assert names == {"cityscapes-procedural", "ade20k-procedural", "voc2012-procedural"}


# --------------------------------------------------------------------------- speed and memory


def test_speed_is_measured_of_the_published_step_and_protocol(paper):
    cells = {cell.id: cell for cell in paper.cells if isinstance(cell, TimedCell)}
    assert len(cells) == 2 * (6 + 8 + 4)
    config = cells["mmseg_dmnet/cityscapes-r50-769x769-40k-fps"].job.config
    assert config.image_size == (1024, 2048) and config.classes == 19
    assert (config.inference.mode, config.inference.window) == ("slide", (769, 769))
    assert (config.crop_size, config.batch_size) == ((769, 769), 2)  # of 8 on 4 GPUs
    assert config.model.align_corners and config.model.backbone.weights is None
    assert cells["mmseg_bisenetv2/4x8-memory"].job.config.batch_size == 8
    assert cells["mmseg_bisenetv2/fp16-memory"].job.config.precision == "amp"


def test_both_columns_of_a_row_are_one_measurement(paper):
    keys = defaultdict(set)
    for cell in paper.cells:
        if isinstance(cell, TimedCell):
            keys[cell.table, cell.name.rpartition("-")[0]].add(cell.job.key)
    assert all(len(found) == 1 for found in keys.values())
    # OHEM chooses pixels in the training step, so its row is measured by itself.
    assert len(paper.speeds) == 6 + 8 + 4


def test_a_step_of_one_gpu_has_its_part_of_the_batch_and_its_own_choice_of_pixels(paper):
    cells = {cell.id: cell for cell in paper.cells if isinstance(cell, TimedCell)}
    plain, ohem = (cells[f"mmseg_bisenetv2/{n}-memory"].job.config for n in ("plain", "ohem"))
    assert plain.ohem is None
    assert (ohem.ohem.threshold, ohem.ohem.min_kept, ohem.ohem.parts) == (0.7, 10000, 1)
    assert ohem.model_copy(update={"ohem": None}) == plain
