"""A small `params/` folder whose every number is chosen here, and results made up for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmnet.config import (
    DMNetHeadConfig,
    FCNHeadConfig,
    ModelConfig,
    RecipeConfig,
    ResNetConfig,
    Section,
    content_hash,
)
from pipeline.experiments import build_experiment
from pipeline.reports.build import build_report
from pipeline.reports.verdict import load_rules
from pipeline.spec.params import Params

FILES = {
    "tables/toy.yaml": """\
title: Toy table
source: nobody 2020, Table 9
columns: [Kind, A, B]
defaults: {dataset: photos, recipe: short, inference: plain}
rows:
  - {Kind: first, A: {cell: wide, model: net, published: 70.0}, B: {cell: deep, model: deeper}}
  - Kind: second
    A: {cell: quick, model: net, with: {recipe.lr: 0.5}, published: 60.5, note: "a note"}
notes: [A note of the table.]
""",
    "tables/twin.yaml": """\
title: Twin
source: nobody
columns: [Kind, A]
defaults: {dataset: photos, recipe: short, inference: plain, model: net}
rows:
  - {Kind: other name, A: {cell: same-as-wide, published: 1.0}}
""",
    "models/net.yaml": """\
title: Net
backbone:
  name: {value: resnet, stated: "section 1"}
  width: {value: 8, inherited: "somebody"}
head:
  name: {value: fcn, stated: "section 2"}
  channels: {value: 16, assumed: "a guess"}
align_corners: {value: false, assumed: "a guess"}
""",
    "models/deeper.yaml": """\
title: Deeper
extends: net
head:
  name: {value: dmnet, stated: "section 3"}
  channels: {value: 32, stated: "section 3"}
""",
    "recipes/short.yaml": """\
title: Short
settings:
  lr: {value: 0.25, stated: "section 4"}
  weight_decay: {value: 0.0, assumed: "none"}
  epochs: {value: 3, stated: "section 4"}
  iterations: {value: null, stated: "section 4 counts epochs"}
  batch_size: {value: 4, stated: "section 4"}
  crop_size: {value: [32, 48], stated: "section 4"}
""",
    "inference/plain.yaml": """\
title: Plain
settings:
  mode: {value: whole, stated: "section 5"}
  flip: {value: false, stated: "section 5"}
  scales: {value: [1.0], assumed: "one"}
  fit_size: {value: null, stated: "section 5"}
  conventions: {value: mmsegmentation, inherited: "somebody"}
""",
    "datasets/photos.yaml": """\
title: Photographs
layout: voc2012aug
classes: [nothing, thing]
splits: {train: train, val: val}
counts: {train: 10, val: 2}
""",
    "datasets/drawings.yaml": """\
title: Drawings
layout: voc2012aug
classes: [nothing, thing]
splits: {train: train, val: val}
counts: {train: 4, val: 2}
generate: {images: {train: 4, val: 2}, height: 32, width: 32}
""",
    "presets/full.yaml": """\
title: full scale
judged: true
shows: Everything.
execution: {checkpoint_every: 1, validate_every: 1, log_every: 1}
""",
    "presets/toy.yaml": """\
title: toy scale
judged: false
shows: Nothing.
datasets: {photos: drawings}
set: {recipe.iterations: 7, backbone.width: 4}
execution: {checkpoint_every: 1, validate_every: 1, log_every: 1}
""",
    "verdicts.yaml": """\
confidence: {value: 0.95, assumed: "the usual"}
same_weights: {value: 0.8, assumed: "a guess"}
rules:
  photos:
    miou:
      margin: {value: 1.0, assumed: "a choice"}
      prior_sd: {value: 0.3, assumed: "a guess"}
      prior_df: {value: 8, assumed: "a guess"}
""",
    "costs.yaml": """\
cpu: {title: one core, flops_per_second: 1.0e9, fixed_seconds: 0.5}
cards: {}
gpu: none
per_job_seconds: 10
requests:
  mflops_per_pixel: {resnet50: 2.4}
  margin: 3
  minutes_at_least: 30
  minutes_at_most: 1440
  evaluation_part: 0.1
  released_minutes: 240
  cpu_base_mb: 2500
  gpu_base_mb: 8000
  worker_mb: 1500
""",
}
# Speed and memory beside accuracy, sub-tables, rows with defaults.
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


def rest(schema: type[Section], text: str, indent: str = "  ") -> str:
    """Lines for the settings that the schema has and `text` does not name, with their defaults."""
    return "".join(
        f"{indent}{name}: {{value: {json.dumps(field.default)}, assumed: the default}}\n"
        for name, field in schema.model_fields.items()
        if f"{name}:" not in text and not field.is_required()
    )


def completed(name: str, text: str) -> str:
    """What a test says of a model or recipe, and the rest of what it must say."""
    if name.startswith("recipes/"):
        drop_last = "  drop_last: {value: false, assumed: the default}\n"
        return f"{text}{rest(RecipeConfig, text)}{drop_last}"
    if not name.startswith("models/"):
        return text
    start, head, _ = text.partition("head:\n")
    if "backbone:\n" in start:
        text = text.replace("backbone:\n", f"backbone:\n{rest(ResNetConfig, start)}")
        own = rest(ModelConfig, text, "")
        text += own.replace("auxiliary: {value: null", "auxiliary: {value: {}")
    schema = DMNetHeadConfig if "value: dmnet" in text else FCNHeadConfig
    return text.replace(head, f"{head}{rest(schema, text.partition(head)[2])}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "params" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(completed(name, text))
    return tmp_path / "params"


@pytest.fixture
def edit(folder):
    """Change a text of one file of the folder."""

    def change(name: str, old: str, new: str) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


@pytest.fixture
def build(folder):
    """The experiment of the folder as it is now; `toy` at preset `full` unless told otherwise."""

    def experiment(preset="full", seeds=1, tables=("toy",)):
        return build_experiment(preset, seeds, tables, Params(folder))

    return experiment


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
def rules(folder):
    """The verdicts' rules of the folder."""
    return load_rules(folder)


@pytest.fixture
def finish(tmp_path):
    """Write what a finished, evaluated run leaves in `runs/`, with this mIoU (a fraction)."""

    def write(evaluation, miou, trained=None, **metrics):
        weights = f"{evaluation.run_key}{'0' * 48}"
        run = {
            "iterations": 7,
            "weights": {"file": "weights.pt", "sha256": weights},
            "data_fingerprint": "f" * 64,
            "val_miou": miou,
            "code": {"commit": "c" * 40, "modified": False},
            "environment": {"device": {"type": "cpu", "name": "a processor"}},
        } | (trained or {})
        result = {
            "run": evaluation.run_key,
            "evaluation_hash": content_hash(evaluation.config),
            "weights_sha256": weights,
            "data_fingerprint": "f" * 64,
            "images": 2,
            "device": "cpu",
            "miou": miou,
            "majority_class_miou": 0.125,
            "pixel_accuracy": miou,
            "per_class_iou": [miou] * evaluation.config.data.classes,
            "confusion_matrix": [[1, 0], [0, 1]],
        } | metrics
        path = tmp_path / evaluation.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result))
        (path.parents[1] / "train.json").write_text(json.dumps(run))
        return path

    return write


@pytest.fixture
def report(build, finish, tmp_path):
    """`toy` at preset `toy` with two seeds: one cell finished, one pending, one half done."""
    experiment = build("toy", seeds=2)
    wide, _, quick = experiment.cells
    for evaluation, miou in zip(wide.evaluations, (0.70, 0.72), strict=True):
        finish(evaluation, miou)
    finish(quick.evaluations[0], 0.5)
    return build_report(experiment, "toy", tmp_path)
