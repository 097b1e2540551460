"""The model zoos' README rows: which cells and runs they are, at each preset.

Their numbers and links are in test_sources.py, their recipes in test_released_recipes.py.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from pipeline.experiments import build_experiment
from pipeline.specs import Params

ROOT = Path(__file__).resolve().parents[2]
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
