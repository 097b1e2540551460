"""`speed`: the whole protocol is timed, and the memory is that of training alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor

from dmnet import speed
from dmnet.__main__ import main
from dmnet.config import SpeedConfig, content_hash
from dmnet.errors import RunError
from dmnet.files import read_json
from dmnet.segmentor import Logits, Segmentor
from dmnet.training.step import Stepper
from tests.pretended_gpu import GPU, pretended_gpu

CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "model": {
        "backbone": {"name": "resnet", "width": 4},
        "head": {"name": "dmnet", "channels": 4},
        "auxiliary": {"stage4": {"head": {"name": "fcn", "channels": 4}}},
    },
    "classes": 3,
    "image_size": [40, 64],
    "crop_size": [32, 32],
    "batch_size": 2,
    "warmup": 1,
    "images": 3,
}
SLIDING = {"mode": "slide", "window": [24, 24], "stride": [16, 16], "fit_size": [41, 65]}


def config(**changes: Any) -> SpeedConfig:
    return SpeedConfig.model_validate(json.loads(json.dumps({**TINY, **changes})))


@pytest.mark.parametrize("inference", [{}, SLIDING], ids=["whole", "slide"])
def test_the_command_writes_speed_memory_and_where_they_were_measured(
    inference: dict[str, Any], tmp_path: Path
) -> None:
    output = tmp_path / "speed" / "of.json"
    values = json.dumps({**TINY, "inference": inference})
    assert main(["speed", "--config", values, "--output", str(output)]) == 0
    found = read_json(output)
    assert found["speed"] == content_hash(config(inference=inference))[:16]
    seconds = found["seconds"]
    assert 0 < seconds["min"] <= seconds["median"] <= seconds["max"]
    assert found["frames_per_second"] == 1 / seconds["median"]
    assert (found["images"], found["warmup"]) == (3, 1)
    # This network has about 0.2 million parameters; a process with PyTorch has over 100 MiB.
    assert found["memory_kind"] in ("process peak RSS", "cuda allocated")
    assert 0 < found["memory_bytes"] < 2**30
    assert (
        set(found["device"]) == {"type", "name", "threads", "tf32"} and "torch" in found["packages"]
    )


@pytest.mark.parametrize(
    ("inference", "passes"),
    [
        ({}, [(40, 64)]),
        ({"flip": True, "scales": [0.5, 1.0]}, [(20, 32), (20, 32), (40, 64), (40, 64)]),
        # The picture becomes 41x65: 3 windows down, 4 across.
        (SLIDING, [(24, 24)] * 12),
    ],
    ids=["whole", "flip and scales", "slide"],
)
def test_every_pass_of_the_protocol_is_timed(
    inference: dict[str, Any], passes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    forward = Segmentor.forward

    def counted(model: Segmentor, images: Tensor) -> Logits:
        assert not model.training and not torch.is_grad_enabled()
        seen.append(tuple(images.shape[-2:]))
        return forward(model, images)

    monkeypatch.setattr(Segmentor, "forward", counted)
    seconds = speed.prediction_seconds(config(inference=inference), CPU)
    assert len(seconds) == 3
    assert seen == passes * 4  # three pictures after one that does not count


def test_on_a_cpu_mixed_precision_is_float32_and_the_result_says_so(tmp_path: Path) -> None:
    output = tmp_path / "of.json"
    values = json.dumps({**TINY, "precision": "amp"})
    assert main(["speed", "--config", values, "--output", str(output)]) == 0
    found = read_json(output)
    assert found["config"]["precision"] == "amp"
    assert found["amp"] is (found["device"]["type"] == "cuda")


@pytest.mark.parametrize("precision", ["fp32", "amp"])
def test_on_a_gpu_a_picture_goes_there_and_back_in_the_model_s_precision(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tools/benchmark.py times it: the copies are within, an FP16 model predicts in float16."""
    monkeypatch.setattr(speed, "synchronise", lambda _: None)
    heads: set[tuple[str, torch.dtype]] = set()
    maps: list[Tensor] = []
    forward, copy = Segmentor.forward, Tensor.cpu

    def seen(model: Segmentor, images: Tensor) -> Logits:
        logits = forward(model, images)
        heads.add((images.device.type, logits.main.dtype))
        return logits

    def copied(tensor: Tensor, *options: Any) -> Tensor:
        maps.append(tensor)
        return copy(tensor, *options)

    monkeypatch.setattr(Segmentor, "forward", seen)
    with pretended_gpu():
        monkeypatch.setattr(Tensor, "cpu", copied)
        speed.prediction_seconds(config(precision=precision), GPU)
    expected = torch.float16 if precision == "amp" else torch.float32
    assert heads == {(GPU.type, expected)}
    assert [(m.device, tuple(m.shape)) for m in maps] == [(GPU, (1, 40, 64))] * 4


def test_memory_is_of_steps_that_choose_hard_pixels_without_trying_algorithms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[Any, Any]] = []

    class Seen(Stepper):
        def __init__(self, model: Segmentor, recipe: Any, *rest: Any, **options: Any) -> None:
            super().__init__(model, recipe, *rest, **options)
            made.append((recipe.ohem, self.tried))

    monkeypatch.setattr(speed, "Stepper", Seen)
    into_mode = Segmentor.train
    ohem = {"threshold": 0.7, "min_kept": 50}
    with pretended_gpu() as pretended:

        def train(model: Segmentor, mode: bool = True) -> Segmentor:
            pretended.learning = model
            return into_mode(model, mode)

        monkeypatch.setattr(Segmentor, "train", train)
        speed.train_steps(config(ohem=ohem), GPU)
    ((found, tried),) = made
    assert (found.min_kept, tried) == (50, False)


def test_more_crops_take_more_memory() -> None:
    small, large = (speed.training_memory(config(batch_size=n, crop_size=[96, 96])) for n in (2, 8))
    assert large["memory_bytes"] > small["memory_bytes"]


def test_out_of_memory_is_one_line_that_names_the_size() -> None:
    huge = config(crop_size=[2_000_000, 2_000_000])
    with pytest.raises(RunError) as caught:
        speed.training_memory(huge)
    assert str(caught.value) == (
        "training on 2 crops of 2000000x2000000 pixels: out of memory; "
        "lower `batch_size` or `crop_size`"
    )


def is_killed(_: SpeedConfig, __: int) -> NoReturn:
    os._exit(9)


def test_a_killed_measurement_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel does it to a process that takes too much memory."""
    monkeypatch.setattr(speed, "peak_of_training", is_killed)
    with pytest.raises(RunError, match=r"^training on 2 crops of 32x32 pixels: its process was ki"):
        speed.training_memory(config())


def test_a_batch_that_cannot_be_normalised_is_no_configuration() -> None:
    """One crop, whose maps are a single pixel, is a single value per channel."""
    with pytest.raises(ValueError, match=r"batch_size: 1 image.* maps of 1 pixel .*raise batch_s"):
        config(batch_size=1, crop_size=[8, 8])
