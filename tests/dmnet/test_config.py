"""The run key says what a run is, and the schemas say what a configuration may hold."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from dmnet.config import (
    AuxiliaryConfig,
    DatasetConfig,
    DilatedHeadConfig,
    DMNetHeadConfig,
    ExecutionConfig,
    FCNHeadConfig,
    InferenceConfig,
    JobConfig,
    ModelConfig,
    MultiKernelHeadConfig,
    RecipeConfig,
    ResNetConfig,
    RunConfig,
    Section,
    SpeedConfig,
    content_hash,
    parse,
)
from dmnet.config.sections import is_constant
from dmnet.errors import ConfigError

Path = tuple[str, ...]

DATASET: dict[str, Any] = {
    "name": "tiny",
    "title": "Tiny",
    "layout": "voc2012aug",
    "classes": ["background", "cat", "dog"],
    "ignore_index": 255,
    "label_map": {11: 255, 4: 1},
    "splits": {"train": "trainaug", "val": "val"},
    "counts": {},
    "archives": [],
    "generate": {
        "seed": 0,
        "revision": 1,
        "images": {"train": 2, "val": 1},
        "height": 32,
        "width": 40,
    },
}

# A run in which every part that can be left out is present.
RUN: dict[str, Any] = {
    "revision": 1,
    "model": {
        "backbone": {
            "name": "resnet",
            "depth": 50,
            "stem": "plain",
            "output_stride": 8,
            "width": 64,
            "stem_channels": None,
            "weights": {"name": "n", "file": "f", "url": "u", "sha256_prefix": "0123abcd"},
        },
        "head": {
            "name": "dmnet",
            "channels": 512,
            "kernel_sizes": [1, 3, 5, 7],
            "fusion": True,
            "context_stage": 5,
            "dropout": 0.1,
        },
        "auxiliary": {
            "stage4": {
                "head": {
                    "name": "fcn",
                    "channels": 256,
                    "convolutions": 1,
                    "concat_input": False,
                    "dropout": 0.1,
                },
                "stage": 4,
                "weight": 0.4,
            },
        },
        "align_corners": False,
        "initialisation": "he",
    },
    "data": {
        "name": "tiny",
        "layout": "voc2012aug",
        "classes": 3,
        "ignore_index": 255,
        "label_map": {11: 255, 4: 1},
        "split": "trainaug",
        "generate": DATASET["generate"],
    },
    "recipe": {
        "optimizer": "sgd",
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "power": 0.9,
        "min_lr": 0.0,
        "iterations": 100,
        "batch_size": 4,
        "crop_size": [64, 64],
        "load_scale": 1.0,
        "scale_range": [0.5, 2.0],
        "flip": 0.5,
        "mean": [1.0, 2.0, 3.0],
        "std": [4.0, 5.0, 6.0],
        "sync_bn": True,
        "precision": "fp32",
        "reaches_min_lr": False,
        "warmup_iterations": 0,
        "warmup_factor": 0.1,
        "fit_size": [64, 96],
        "cat_max_ratio": 1.0,
        "photometric": False,
        "conventions": "mmsegmentation",
        "loss_average": "labelled",
        "loss_scale": None,
        "padding": "mean",
        "ohem": {"threshold": 0.7, "min_kept": 100},
        "bn_parts": 1,
        "backbone_bn_parts": None,
        "loss_parts": 1,
        "warmup_times_poly": False,
    },
    "seed": 0,
    "cpu_threads": 1,
}

# For every field above, another value that it may have.
OTHER_VALUES: dict[str, Any] = {
    "revision": 2,
    "model.backbone.depth": 101,
    "model.backbone.stem": "deep",
    "model.backbone.output_stride": 16,
    "model.backbone.width": 32,
    "model.backbone.weights": None,
    "model.backbone.weights.sha256_prefix": "ffffffff",
    "model.head": {"name": "dilated"},
    "model.head.channels": 256,
    "model.head.kernel_sizes": [1, 3, 7, 5],
    "model.head.fusion": False,
    "model.head.context_stage": 4,
    "model.head.dropout": 0.0,
    "model.auxiliary": {},
    "model.auxiliary.stage4.head": {"name": "dilated"},
    "model.auxiliary.stage4.head.channels": 128,
    "model.auxiliary.stage4.head.convolutions": 2,
    "model.auxiliary.stage4.head.concat_input": True,
    "model.auxiliary.stage4.head.dropout": 0.2,
    "model.auxiliary.stage4.stage": 3,
    "model.auxiliary.stage4.weight": 1.0,
    "model.align_corners": True,
    "model.initialisation": "torch",
    "data.name": "other",
    "data.layout": "camvid",
    "data.classes": 4,
    "data.ignore_index": 254,
    "data.label_map": {11: 255},
    "data.split": "train",
    "data.generate": None,
    "data.generate.seed": 1,
    "data.generate.revision": 2,
    "data.generate.images": {"train": 3, "val": 1},
    "data.generate.height": 48,
    "data.generate.width": 48,
    "recipe.lr": 0.02,
    "recipe.momentum": 0.8,
    "recipe.weight_decay": 5e-4,
    "recipe.power": 1.0,
    "recipe.min_lr": 1e-4,
    "recipe.iterations": 101,
    "recipe.batch_size": 8,
    "recipe.crop_size": [64, 72],
    "recipe.load_scale": 0.5,
    "recipe.scale_range": [0.5, 1.5],
    "recipe.flip": 0.0,
    "recipe.mean": [1.0, 2.0, 4.0],
    "recipe.std": [4.0, 5.0, 7.0],
    "recipe.sync_bn": False,
    "recipe.precision": "amp",
    "recipe.reaches_min_lr": True,
    "recipe.warmup_iterations": 10,
    "recipe.warmup_factor": 0.2,
    "recipe.fit_size": None,
    "recipe.cat_max_ratio": 0.75,
    "recipe.photometric": True,
    "recipe.conventions": "sssegmentation",
    "recipe.loss_average": "all",
    "recipe.loss_scale": 512.0,
    "recipe.padding": "black",
    "recipe.ohem": None,
    "recipe.ohem.threshold": None,
    "recipe.ohem.min_kept": 200,
    "recipe.ohem.parts": 2,
    "recipe.bn_parts": 2,
    "recipe.backbone_bn_parts": 2,
    "recipe.loss_parts": 2,
    "recipe.warmup_times_poly": True,
    "model.backbone.stem_channels": 16,
    "parent": "0123456789abcdef",
    "seed": 1,
    "cpu_threads": 2,
}

# Names of schemas, and the address of the weights, which their hash identifies.
NOT_CHANGED = {
    "model.backbone.name",
    "model.head.name",
    "model.auxiliary.stage4.head.name",
    "model.backbone.weights.name",
    "model.backbone.weights.file",
    "model.backbone.weights.url",
}


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of the fields of a nested configuration; maps with free keys are one field."""
    if isinstance(value, dict) and path[-1:] not in {("label_map",), ("images",)}:
        for key, part in value.items():
            yield from leaves(part, (*path, key))
    else:
        yield path


def constants(section: Section, prefix: str = "") -> dict[str, Any]:
    """path -> value of the fields with a single legal value."""
    found = {}
    for name, field in type(section).model_fields.items():
        value, path = getattr(section, name), f"{prefix}{name}"
        if isinstance(value, Section):
            found |= constants(value, f"{path}.")
        elif isinstance(value, dict) and name == "auxiliary":
            for own, entry in value.items():
                found |= constants(entry, f"{path}.{own}.")
        elif name != "name" and is_constant(field.annotation, field.default):
            found[path] = value
    return found


def with_value(values: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    *parents, last = dotted.split(".")
    part = changed
    for name in parents:
        part = part[name]
    part[last] = value
    return changed


def reordered(value: Any, rng: random.Random) -> Any:
    """The same nested value with the keys of every map in a random order."""
    if not isinstance(value, dict):
        return value
    items = [(key, reordered(part, rng)) for key, part in value.items()]
    rng.shuffle(items)
    return dict(items)


def key(run: dict[str, Any]) -> str:
    return parse(RunConfig, run, "run").key


# -------------------------------------------------------------------------------- the run key


@settings(max_examples=40, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_the_key_does_not_depend_on_the_order_of_yaml_keys(rng: random.Random) -> None:
    text = yaml.safe_dump(reordered(RUN, rng), sort_keys=False)
    assert key(yaml.safe_load(text)) == key(RUN)


def test_the_key_is_the_same_from_yaml_json_and_the_stored_config() -> None:
    run = parse(RunConfig, RUN, "run")
    assert key(json.loads(json.dumps(RUN))) == run.key
    assert key(json.loads(run.model_dump_json())) == run.key


def test_a_left_out_default_gives_the_key_of_the_written_default() -> None:
    assert key(with_value(RUN, "model.head", {"name": "dmnet"})) == key(RUN)


@pytest.mark.parametrize("field", OTHER_VALUES)
def test_the_key_changes_with(field: str) -> None:
    assert key(with_value(RUN, field, OTHER_VALUES[field])) != key(RUN)


@settings(max_examples=40, deadline=None)
@given(fields=st.sets(st.sampled_from(sorted(OTHER_VALUES)), min_size=2, max_size=2))
def test_different_changes_give_different_keys(fields: set[str]) -> None:
    first, second = (key(with_value(RUN, field, OTHER_VALUES[field])) for field in sorted(fields))
    assert first != second


def test_every_field_of_a_run_is_covered_by_the_test_above() -> None:
    run = parse(RunConfig, RUN, "run")
    fields = {".".join(path) for path in leaves(run.model_dump(mode="json"))}
    assert fields <= {*OTHER_VALUES, *NOT_CHANGED, *constants(run)}


def test_a_constant_of_the_code_stands_in_no_key_and_has_no_other_value() -> None:
    fixed = constants(parse(RunConfig, RUN, "run"))
    assert {"model.backbone.stride_in", "recipe.kept", "recipe.nesterov"} <= fixed.keys()
    for field, value in fixed.items():
        assert key(with_value(RUN, field, value)) == key(RUN)
        with pytest.raises(ConfigError):
            key(with_value(RUN, field, "otherwise"))


@settings(max_examples=20, deadline=None)
@given(a=st.integers(0, 2**32), b=st.integers(0, 2**32))
def test_two_seeds_have_one_key_exactly_if_they_are_equal(a: int, b: int) -> None:
    assert (key({**RUN, "seed": a}) == key({**RUN, "seed": b})) == (a == b)


def job(dataset: dict[str, Any], execution: dict[str, Any]) -> JobConfig:
    identity = parse(DatasetConfig, dataset, "dataset").identity.model_dump(mode="json")
    run = {**RUN, "data": identity}
    return parse(JobConfig, {"run": run, "dataset": dataset, "execution": execution}, "job")


EXECUTION = {"checkpoint_every": 10, "validate_every": 10, "log_every": 10}


@settings(max_examples=20, deadline=None)
@given(
    workers=st.integers(0, 64),
    every=st.tuples(*[st.integers(1, 10**6)] * 3),
    cache=st.integers(0, 10**6),
)
def test_how_a_run_is_executed_is_outside_the_key(
    workers: int, every: tuple[int, int, int], cache: int
) -> None:
    names = ("checkpoint_every", "validate_every", "log_every")
    execution = {
        **dict(zip(names, every, strict=True)),
        "workers": workers,
        **{"processes": 4, "nodes": 2, "accumulate": 2, "accelerated": False},
        **{"deterministic": True},
        "device": "cuda",
        "cache_mib": cache,
    }
    assert set(execution) == set(ExecutionConfig.model_fields)
    assert job(DATASET, execution).run.key == job(DATASET, EXECUTION).run.key


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "Another title"),
        ("classes", ["one", "two", "three"]),
        ("splits.val", "test"),
        ("archives", [{"file": "a.tar", "url": "https://example.org", "md5": "0"}]),
        ("counts", {"val": 3}),
    ],
)
def test_what_of_a_dataset_does_not_change_weights_is_outside_the_key(
    field: str, value: Any
) -> None:
    changed = job(with_value(DATASET, field, value), EXECUTION)
    assert changed.run.key == job(DATASET, EXECUTION).run.key


# A field with its default value is left out of the hash, so a changed default would let old runs
# answer for new ones: these stay as they are, or TRAINING_REVISION is raised.
DEFAULTS: dict[type[BaseModel], dict[str, Any]] = {
    ResNetConfig: {
        "depth": 50,
        "stem": "plain",
        "output_stride": 8,
        "width": 64,
        "weights": None,
    },
    DMNetHeadConfig: {
        "channels": 512,
        "kernel_sizes": (1, 3, 5, 7),
        "fusion": True,
        "context_stage": 5,
        "dropout": 0.1,
    },
    MultiKernelHeadConfig: {
        "channels": 512,
        "kernel_sizes": (1, 3, 5, 7),
        "depthwise": False,
        "fusion": True,
        "dropout": 0.1,
    },
    DilatedHeadConfig: {
        "channels": 512,
        "dilations": (6, 12, 24, 36),
        "depthwise": False,
        "fusion": True,
        "dropout": 0.1,
    },
    FCNHeadConfig: {"channels": 512, "convolutions": 1, "concat_input": False, "dropout": 0.1},
    AuxiliaryConfig: {"stage": 4, "weight": 0.4},
    ModelConfig: {"auxiliary": {}, "align_corners": False, "initialisation": "he"},
    RecipeConfig: {
        "optimizer": "sgd",
        "momentum": 0.9,
        "power": 0.9,
        "min_lr": 0.0,
        "load_scale": 1.0,
        "scale_range": (0.5, 2.0),
        "flip": 0.5,
        "mean": (123.675, 116.28, 103.53),
        "std": (58.395, 57.12, 57.375),
        "sync_bn": True,
        "precision": "fp32",
        "reaches_min_lr": False,
        "warmup_iterations": 0,
        "warmup_factor": 0.1,
        "fit_size": None,
        "cat_max_ratio": 1.0,
        "photometric": False,
        "conventions": "mmsegmentation",
        "loss_average": "labelled",
        "loss_scale": None,
        "padding": "mean",
        "ohem": None,
        "bn_parts": 1,
    },
    RunConfig: {"parent": None, "seed": 0, "cpu_threads": 1},
    InferenceConfig: {
        "mode": "whole",
        "window": None,
        "stride": None,
        "flip": False,
        "scales": (1.0,),
        "fit_size": None,
        "average": "probabilities",
        "conventions": "mmsegmentation",
    },
    SpeedConfig: {
        "inference": InferenceConfig(),
        "precision": "fp32",
        "warmup": 5,
        "images": 20,
    },
}


@pytest.mark.parametrize("schema", DEFAULTS, ids=lambda schema: schema.__name__)
def test_defaults_mean_what_they_meant_when_old_keys_were_made(schema: type[BaseModel]) -> None:
    found = {name: schema.model_fields[name].default for name in DEFAULTS[schema]}
    assert found == DEFAULTS[schema], "a changed default keeps old keys: raise TRAINING_REVISION"


def test_the_key_is_16_hexadecimal_digits() -> None:
    assert len(key(RUN)) == 16
    int(key(RUN), 16)


# ---------------------------------------------------------------------------- the closed schema


def section_paths(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict) and path[-1:] not in {("label_map",), ("images",)}:
        if path[-1:] != ("auxiliary",):  # its keys are free: one's own names
            yield path
        for name, part in value.items():
            yield from section_paths(part, (*path, name))


@pytest.mark.parametrize("section", [".".join(path) for path in section_paths(RUN)])
def test_an_unknown_key_is_refused_in_every_section(section: str) -> None:
    dotted = f"{section}.typo".lstrip(".")
    with pytest.raises(ConfigError, match=r"^run\.yaml: unknown key `.*typo`; remove it") as caught:
        parse(RunConfig, with_value(RUN, dotted, 1), "run.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "field", ["model", "model.head", "data.split", "recipe.lr", "data.generate.height"]
)
def test_a_missing_key_is_named(field: str) -> None:
    incomplete = copy.deepcopy(RUN)
    part = incomplete
    *parents, last = field.split(".")
    for name in parents:
        part = part[name]
    del part[last]
    with pytest.raises(ConfigError) as caught:
        parse(RunConfig, incomplete, "run.yaml")
    assert str(caught.value) == f"run.yaml: key `{field}` is missing; add it"


def test_an_unknown_head_lists_the_heads_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(RunConfig, with_value(RUN, "model.head", {"name": "dmnett"}), "run.yaml")
    message = str(caught.value)
    assert message.startswith("run.yaml: `model.head`: unknown name 'dmnett'; expected one of")
    for name in ("dmnet", "multi_kernel", "dilated", "fcn"):
        assert f"'{name}'" in message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recipe.lr", "many\nthings"),
        ("recipe.lr", 0),
        ("recipe.lr", -0.1),
        ("recipe.iterations", 2.5),
        ("recipe.batch_size", 0),
        ("recipe.crop_size", [64]),
        ("recipe.crop_size", [64, 7]),
        ("recipe.scale_range", [0.5, "two"]),
        ("recipe.momentum", 1.0),
        ("recipe.flip", 1.1),
        ("recipe.precision", "fp8"),
        ("model.backbone.depth", 34),
        ("model.backbone.width", 6),
        ("model.backbone.output_stride", 32),
        ("model.head.dropout", 1.0),
        ("model.head.fusion", "perhaps"),
        ("model.auxiliary.stage4.stage", 1),
        ("model.auxiliary.stage4.weight", 0),
        ("data.generate.height", 8),
        ("seed", -1),
        ("seed", None),
        ("cpu_threads", 0),
    ],
)
def test_a_wrong_value_gives_one_line_that_names_the_key(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(RunConfig, with_value(RUN, field, value), "run.yaml")
    message = str(caught.value)
    assert message.startswith("run.yaml: ")
    for part in field.split("."):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("kernels", [[], [0], [3, -1], "3", [1.5]])
def test_kernel_sizes_are_one_or_more_positive_integers(kernels: Any) -> None:
    with pytest.raises(ConfigError, match=r"kernel_sizes"):
        parse(RunConfig, with_value(RUN, "model.head.kernel_sizes", kernels), "run.yaml")


@pytest.mark.parametrize("scales", [[0.0, 1.0], [2.0, 0.5], [-1.0, 1.0]])
def test_a_scale_range_goes_from_a_positive_low_to_a_high(scales: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"scale_range must be \[low, high\]"):
        parse(RunConfig, with_value(RUN, "recipe.scale_range", scales), "run.yaml")


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"backbone_bn_parts": 3}, "batch_size must be a multiple of backbone_bn_parts"),
        ({"loss_parts": 3}, "batch_size must be a multiple of loss_parts"),
        ({"loss_parts": 2, "loss_average": "all"}, "loss_parts: .* it changes nothing"),
    ],
)
def test_parts_of_a_batch_hold_as_many_images_and_matter(
    recipe: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(RecipeConfig, {**RUN["recipe"], "batch_size": 4, **recipe}, "run.yaml")


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_a_file_that_holds_no_mapping_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^run\.yaml: `the whole file`"):
        parse(RunConfig, value, "run.yaml")


def test_a_job_whose_dataset_is_not_the_runs_is_refused() -> None:
    values = json.loads(job(DATASET, EXECUTION).model_dump_json())
    values["dataset"]["name"] = "another"
    with pytest.raises(ConfigError, match="`dataset` and `run.data` describe different datasets"):
        parse(JobConfig, values, "config.json")


def test_a_configuration_cannot_be_changed() -> None:
    run = parse(RunConfig, RUN, "run")
    with pytest.raises(ValueError, match="frozen"):
        run.recipe.lr = 1.0  # type: ignore[misc]


def test_the_size_of_a_photograph_only_says_what_speed_is_measured_on() -> None:
    plain, sized = DATASET, DATASET | {"photograph": [375, 500]}
    first, second = (parse(DatasetConfig, value, "x") for value in (plain, sized))
    assert content_hash(first) == content_hash(second)
    assert first.identity == second.identity


def test_an_error_quotes_of_a_file_one_short_line() -> None:
    for strange in ("x" * 10_000, "a\nb", "\x1b[2J"):
        with pytest.raises(ConfigError, match="unknown key") as caught:
            parse(DatasetConfig, DATASET | {strange: 1}, "x.yaml")
        assert str(caught.value).isprintable() and len(str(caught.value)) < 400
