"""What the paper leaves open stands in its tables' reports; both readings of its stem can run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.experiments import build_experiment
from pipeline.reports.build import build_report
from pipeline.reports.verdict import load_rules
from pipeline.spec.params import Params

PARAMS = Path(__file__).resolve().parents[3] / "params"
TABLES = [f"table{number}" for number in range(1, 10)]

# Settings that sections 3 and 4 say nothing of, with what is done.
OPEN = {
    "backbone.stem": "plain",
    "backbone.first_dilation": "halved",
    "backbone.stride_in": "3x3",
    "align_corners": False,
    "initialisation": "he",
    "normalisation": "BN, ReLU",
    "batch_norm": "eps 1e-5, momentum 0.1",
    "dropout_of": "channels",
    "classifier": "1x1 with bias",
    "recipe.batch_size": 16,
    "recipe.head_lr_factor": 1,
    "recipe.nesterov": False,
    "recipe.weight_decay_on": "all",
    "recipe.gradient_clipping": "none",
    "recipe.frozen": "none",
    "recipe.kept": "last",
    "recipe.drop_last": False,
    "recipe.sampling": "shuffled epochs",
    "recipe.loss": "cross_entropy",
    "recipe.loss_average": "labelled",
    "recipe.loss_size": "labels",
    "recipe.ohem": None,
    "recipe.crop_position": "uniform",
    "recipe.cat_max_ratio": 1.0,
    "recipe.fit_size": None,
    "recipe.scale_drawn": "uniform",
    "recipe.interpolation": "bilinear",
    "recipe.label_interpolation": "nearest",
    "recipe.size_rounding": "half up",
    "recipe.flip": 0.5,
    "recipe.photometric": False,
    "recipe.further_augmentation": "none",
    "recipe.conventions": "mmsegmentation",
    "recipe.padding": "mean",
    "recipe.precision": "fp32",
}
OF_DMNET = {"head.channels": 512, "head.generator": "1x1 with bias", "head.bottleneck": "3x3"}
OF_DEEP_SUPERVISION = {"auxiliary.stage4.stage": 4, "auxiliary.stage4.weight": 0.4}


@pytest.fixture(scope="module")
def params():
    return Params(PARAMS)


@pytest.fixture(scope="module")
def paper(params):
    return build_experiment("paper", tables=TABLES, params=params)


@pytest.mark.parametrize("table", [table for table in TABLES if table != "table3"])
def test_what_the_paper_does_not_say_stands_in_each_report(paper, tmp_path, table):
    """All but Table 3, which trains nothing."""
    settings = build_report(paper, table, tmp_path, load_rules(PARAMS)).settings
    listed = {}
    for entry in (*settings["assumed"], *settings["inherited"]):
        listed.setdefault(entry.key, []).append(entry.value)
    expected = dict(OPEN)
    expected |= OF_DMNET if table != "table2" else {}
    expected |= OF_DEEP_SUPERVISION if table in ("table6", "table8", "table9") else {}
    missing = {key: v for key, v in expected.items() if v not in listed.get(key, [])}
    assert missing == {}


def test_what_follows_from_the_paper_is_told_from_what_it_states(paper):
    settings = paper.cells_of("table1")[0].settings
    by_origin = {
        origin: {path for path, setting in settings.items() if setting.origin == origin}
        for origin in ("stated", "derived")
    }
    assert {"recipe.lr", "recipe.power", "recipe.sync_bn", "upsampling"} <= by_origin["stated"]
    follows = {"recipe.min_lr", "recipe.load_scale", "recipe.iterations", "auxiliary"}
    assert follows <= by_origin["derived"]


def test_the_other_reading_of_the_stem_is_a_preset_with_that_stems_weights(params, paper):
    deep = build_experiment("paper-deep", params=params)
    plain = {cell.id: cell for cell in paper.cells}
    files = {50: "resnet50_v1c-2cccc1ad.pth", 101: "resnet101_v1c-e67eebb6.pth"}
    for cell in deep.cells:
        if cell.table == "table3" or not cell.table.startswith("table"):
            continue
        run = deep.runs[cell.evaluations[0].run_key].job.run
        assert run.key != plain[cell.id].evaluations[0].run_key
        assert run.model.backbone.stem == "deep"
        assert run.model.backbone.weights.file == files[run.model.backbone.depth], cell.id
        assert cell.settings["backbone.stem"].origin == "preset"
        other = paper.runs[plain[cell.id].evaluations[0].run_key].job.run
        assert other.model.backbone.stem == "plain"
        assert run.recipe == other.recipe and run.model.head == other.model.head
    reason = plain["table5/dmnet-r50"].settings["backbone.stem"].source
    assert "paper-deep" in reason and "official repository" in reason


def test_the_zoos_rows_have_one_stem_whatever_the_preset(params):
    tables = ["mmseg_dmnet", "mmseg_deeplabv3", "ssseg_dmnet"]
    plain, deep = (
        build_experiment(preset, tables=tables, params=params) for preset in ("paper", "paper-deep")
    )
    assert plain.runs.keys() == deep.runs.keys()
