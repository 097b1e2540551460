"""The model zoos' README rows: numbers as printed, recipes as resolved from the released files.

The sums and counts below were taken from the READMEs themselves, not from params/tables. The
configurations in tests/golden are those of the releases, resolved by the zoos' own code.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from pipeline.experiments import build_experiment
from pipeline.specs import Params

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
ZOOS = ("mmseg_dmnet", "mmseg_deeplabv3", "mmseg_bisenetv2", "ssseg_dmnet")


@pytest.fixture(scope="module")
def params():
    return Params(ROOT / "params")


@pytest.fixture(scope="module")
def paper(params):
    return build_experiment("paper", params=params)


@pytest.fixture(scope="module")
def mini(params):
    return build_experiment("mini", params=params)


def keys_of(cells):
    return {e.run_key for cell in cells for e in cell.evaluations}


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
    assert titled.settings["recipe.ohem"].value == {"threshold": 0.7, "min_kept": 10000}
    # The published numbers belong to the row as titled alone.
    assert (titled.spec.published, released.spec.published) == (73.57, None)


def test_a_row_is_one_run_and_its_two_mious_two_protocols(paper):
    rows = defaultdict(list)
    for cell in paper.cells:
        if cell.table.startswith("mmseg") and cell.evaluations:
            rows[cell.table, cell.name.removesuffix("-ms-flip")].append(cell)
    assert len(rows) == 12 + 16 + 5
    for single, multi in rows.values():
        assert keys_of([single]) == keys_of([multi])
        first, second = (cell.evaluations[0].config.inference for cell in (single, multi))
        assert (first.scales, first.flip) == ((1.0,), False)
        assert (second.scales, second.flip) == ((0.5, 0.75, 1.0, 1.25, 1.5, 1.75), True)
        assert (first.mode, first.window) == (second.mode, second.window)


# -------------------------------------------------------------------------- the resolved recipes


def mmseg_row(cell):
    """The name of the release's configuration file that a cell's row stands for."""
    model, where = cell.settings, cell.settings["recipe.iterations"].value // 1000
    batch, devices = model["recipe.batch_size"].value, model["recipe.devices"].value
    per = f"{devices}xb{batch // devices}"
    data = {"voc2012aug": "voc12aug"}.get(cell.published_dataset, cell.published_dataset)
    crop = "x".join(map(str, model["recipe.crop_size"].value))
    if cell.table == "mmseg_bisenetv2":
        kind = {"ohem": "ohem-", "fp16": "amp-"}.get(cell.name, "")
        return f"bisenetv2/bisenetv2_fcn_{per}-{kind}{where}k_{data}-{crop}.py"
    folder = cell.table.removeprefix("mmseg_")
    depth = model["backbone.depth"].value
    return f"{folder}/{folder}_r{depth}-d8_{per}-{where}k_{data}-{crop}.py"


def size_of(pipeline, step):
    """(height, width) of a step's `scale=[width, height]`."""
    (text,) = [entry for entry in pipeline if entry.startswith(step)]
    width, height = re.search(r"scale=\[(\d+), (\d+)\]", text).groups()
    return int(height), int(width)


def test_mmsegmentations_rows_are_its_releases_configurations(paper):
    reference = json.loads((GOLDEN / "mmseg_rows.json").read_text())["rows"]
    rows = [
        cell
        for cell in paper.cells
        if cell.table.startswith("mmseg") and cell.evaluations and cell.spec.published
        if not cell.name.endswith("ms-flip")
    ]
    assert {mmseg_row(cell) for cell in rows} == set(reference)
    for cell in rows:
        theirs = reference[mmseg_row(cell)]
        run = paper.runs[cell.evaluations[0].run_key].job.run
        recipe, optimizer = run.recipe, theirs["optimizer"]["optimizer"]
        assert recipe.iterations == theirs["train_iters"]
        assert recipe.batch_size == theirs["total_batch"]
        assert list(recipe.crop_size) == theirs["crop"]
        assert recipe.fit_size == size_of(theirs["train_pipeline"], "RandomResize")
        assert (recipe.lr, recipe.momentum, recipe.weight_decay) == (
            optimizer["lr"],
            optimizer["momentum"],
            optimizer["weight_decay"],
        )
        *warmup, poly = theirs["lr_schedule"]
        assert (recipe.min_lr, recipe.power) == (poly["eta_min"], poly["power"])
        assert recipe.warmup_iterations == poly["begin"]
        assert [entry["start_factor"] for entry in warmup] == [recipe.warmup_factor] * len(warmup)
        assert (recipe.precision == "amp") == (theirs["optimizer"]["type"] == "AmpOptimWrapper")
        assert recipe.loss_scale == theirs["optimizer"].get("loss_scale")
        assert (recipe.padding == "black") == ("Pad(size=[512, 512])" in theirs["train_pipeline"])
        assert (recipe.ohem is not None) == ("NOTE_key_models_not_model" in theirs)
        assert (recipe.cat_max_ratio, recipe.flip, recipe.photometric) == (0.75, 0.5, True)
        assert (recipe.conventions, recipe.loss_average) == ("mmsegmentation", "all")
        assert run.model.align_corners == theirs["head"]["align_corners"]
        assert run.model.head.dropout == theirs["head"]["dropout_ratio"]
        assert [a.weight for a in run.model.auxiliary.values()] == [
            aux["loss_decode"]["loss_weight"] for aux in theirs["aux"]
        ]
        assert [a.head.channels for a in run.model.auxiliary.values()] == [
            aux["channels"] for aux in theirs["aux"]
        ]
        first = 1 if run.model.backbone.name == "bisenetv2" else 2  # index 0 of its outputs
        assert [a.stage - first for a in run.model.auxiliary.values()] == [
            aux["in_index"] for aux in theirs["aux"]
        ]
        assert run.model.head.channels == theirs["head"]["channels"]
        inference = cell.evaluations[0].config.inference
        assert inference.fit_size == size_of(theirs["val_pipeline"], "Resize")
        assert inference.mode == theirs["test_cfg"]["mode"]
        assert list(inference.window or []) == theirs["test_cfg"].get("crop_size", [])
        assert list(inference.stride or []) == theirs["test_cfg"].get("stride", [])


def test_sssegmentations_rows_are_its_releases_configurations(paper):
    reference = json.loads((GOLDEN / "ssseg_rows.json").read_text())["rows"]
    names = {"voc2012aug": "voc", "ade20k": "ade20k", "cityscapes": "cityscapes"}
    iterations = {"voc": 60 * 661, "ade20k": 130 * 1263, "cityscapes": 220 * 372}
    seen = set()
    for cell in paper.cells_of("ssseg_dmnet"):
        run = paper.runs[cell.evaluations[0].run_key].job.run
        backbone, data = run.model.backbone, names[str(cell.published_dataset)]
        name = f"dmnet/dmnet_resnet{backbone.depth}os{backbone.output_stride}_{data}.py"
        theirs, recipe = reference[name], run.recipe
        seen.add(name)
        steps = dict(theirs["dataset"]["train"]["data_pipelines"])
        assert cell.settings["recipe.epochs"].value == theirs["epochs"]
        assert recipe.iterations == iterations[data]
        assert recipe.batch_size == theirs["total_batch"]
        assert list(recipe.crop_size) == steps["RandomCrop"]["crop_size"]
        assert list(recipe.fit_size) == steps["Resize"]["output_size"][::-1]
        assert list(recipe.scale_range) == steps["Resize"]["scale_range"]
        assert recipe.cat_max_ratio == steps["RandomCrop"]["one_category_max_ratio"]
        assert (recipe.lr, recipe.weight_decay) == (
            theirs["optimizer"]["lr"],
            theirs["optimizer"]["weight_decay"],
        )
        assert recipe.min_lr == pytest.approx(0.01 * recipe.lr)
        assert (recipe.conventions, recipe.loss_average) == ("sssegmentation", "labelled")
        assert run.model.head.fusion is theirs["head"]["is_fusion"]
        assert [a.head.channels for a in run.model.auxiliary.values()] == [
            theirs["auxiliary"]["out_channels"]
        ]
        inference = cell.evaluations[0].config.inference
        assert (
            list(inference.fit_size)
            == (dict(theirs["dataset"]["test"]["data_pipelines"])["Resize"]["output_size"][::-1])
        )
    assert seen == set(reference)


# ------------------------------------------------------------------------------------- presets


def distinctions(experiment):
    """Row -> what tells it from others; the values do not matter, only which are equal."""
    found = {}
    for cell in experiment.cells:
        if cell.table in ZOOS and cell.evaluations:
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
                "test fit": inference.fit_size if not inference.flip else None,
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


def test_mini_trains_every_row_by_itself(mini):
    assert len(keys_of(cell for cell in mini.cells if cell.table in ZOOS)) == 44
    names = {cell.dataset.name for cell in mini.cells if cell.table in ZOOS and cell.evaluations}
    assert names == {"cityscapes-procedural", "ade20k-procedural", "voc2012-procedural"}


# --------------------------------------------------------------------------- speed and memory


def test_speed_is_measured_of_the_published_step_and_protocol(paper):
    cells = {cell.id: cell for cell in paper.cells if cell.speed is not None}
    assert len(cells) == 2 * (6 + 8 + 4)
    config = cells["mmseg_dmnet/cityscapes-r50-769x769-40k-fps"].speed.config
    assert config.image_size == (1024, 2048) and config.classes == 19
    assert (config.inference.mode, config.inference.window) == ("slide", (769, 769))
    assert (config.crop_size, config.batch_size) == ((769, 769), 2)  # of 8 on 4 GPUs
    assert config.model.align_corners and config.model.backbone.weights is None
    assert cells["mmseg_bisenetv2/4x8-memory"].speed.config.batch_size == 8
    assert cells["mmseg_bisenetv2/fp16-memory"].speed.config.precision == "amp"


def test_both_columns_of_a_row_are_one_measurement(paper):
    keys = defaultdict(set)
    for cell in paper.cells:
        if cell.speed is not None:
            keys[cell.table, cell.name.rpartition("-")[0]].add(cell.speed.key)
    assert all(len(found) == 1 for found in keys.values())
    # OHEM changes the loss only, so its row shares the plain one's measurement.
    assert len(paper.speeds) == 6 + 8 + 4 - 1
