"""On a GPU, a pretended one: every tensor is there, and the program does not wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dmnet.config import InferenceConfig, ModelConfig, RecipeConfig
from dmnet.errors import RunError
from dmnet.inference.augmented import label_map, predict_scores
from dmnet.inference.form import OPTIMISED, PLAIN, Form
from dmnet.optimised import optimised
from dmnet.processes import ALONE
from dmnet.segmentor import Segmentor
from dmnet.training.acceleration import acceleration_on
from dmnet.training.determinism import WORKSPACE, same_bits
from dmnet.training.loss_means import LossMeans
from dmnet.training.step import Stepper
from tests.pretended_gpu import (
    GPU,
    GPUWaitError,
    NoWaiting,
    TwoDevicesError,
    aten,
    pretended_gpu,
)

CLASSES, SIZE = 5, (64, 96)
RESNET = {"name": "resnet", "depth": 50, "width": 8}
STAGE4 = {"stage4": {"head": {"name": "fcn", "channels": 8}, "stage": 4, "weight": 0.4}}
MODELS: dict[str, dict[str, Any]] = {
    "DMNet": {"backbone": RESNET, "head": {"name": "dmnet", "channels": 8}, "auxiliary": STAGE4},
    "multi-kernel": {"backbone": RESNET, "head": {"name": "multi_kernel", "channels": 8}},
    "dilated": {"backbone": RESNET, "head": {"name": "dilated", "channels": 8}},
    "DeepLabV3": {"backbone": RESNET, "head": {"name": "aspp", "channels": 8}},
    "BiSeNetV2": {
        "backbone": {"name": "bisenetv2"},
        "head": {"name": "fcn", "channels": 8, "convolutions": 1},
        "auxiliary": {"stage2": {"head": {"name": "fcn", "channels": 8}, "stage": 2, "weight": 1}},
    },
}
RECIPES: dict[str, dict[str, Any]] = {
    "float32": {},
    "mixed precision": {"precision": "amp"},
    "mixed precision, fixed scale": {"precision": "amp", "loss_scale": 512.0},
    "hard pixels": {"ohem": {"threshold": 0.7, "min_kept": 50}},
    "as on two GPUs": {"backbone_bn_parts": 2, "loss_parts": 2},
    "hardest pixels": {"ohem": {"threshold": None, "min_kept": 50, "parts": 2}},
}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "single-scale": {},
    "scales and flip": {"scales": (0.5, 1.0, 1.25), "flip": True},
    "windows": {"mode": "slide", "window": (40, 40), "stride": (24, 24), "flip": True},
    "sssegmentation": {"scales": (0.5, 1.0), "flip": True, "conventions": "sssegmentation"},
}


def recipe(**values: Any) -> RecipeConfig:
    plain = {"lr": 0.01, "weight_decay": 5e-4, "iterations": 9, "batch_size": 4, "crop_size": SIZE}
    return RecipeConfig.model_validate({**plain, **values})


def build(name: str) -> Segmentor:
    return Segmentor(ModelConfig.model_validate(MODELS[name]), CLASSES)


def pairs(others: dict[str, dict[str, Any]], first: str) -> list[tuple[str, str]]:
    """Every model with the one, and DMNet with all others."""
    return [(name, first) for name in MODELS] + [("DMNet", o) for o in others if o != first]


@pytest.mark.parametrize(("name", "how"), pairs(RECIPES, "mixed precision"))
def test_a_training_step(name: str, how: str) -> None:
    values = RECIPES[how]
    model, types, tried = build(name), set(), []
    images = torch.randn(4, 3, *SIZE)
    labels = torch.randint(CLASSES, (4, *SIZE), dtype=torch.uint8)
    with pretended_gpu() as pretended:
        pretended.learning = model.to(GPU).train()
        stepper = Stepper(model, recipe(**values), 255, GPU, acceleration=acceleration_on(GPU))
        classifier = model.head.get_submodule("classifier")
        classifier.register_forward_hook(lambda *call: types.add(call[-1].dtype))
        classifier.register_forward_hook(lambda *_: tried.append(torch.backends.cudnn.benchmark))
        with NoWaiting():  # the second step is the first with momentum
            losses = [stepper.step(images, labels, number, number)[0] for number in range(2)]
    assert types == {torch.float16 if "precision" in values else torch.float32}
    assert tried == [True, True] and not torch.backends.cudnn.benchmark
    for loss in losses:
        assert (loss.total.device, loss.total.dtype) == (GPU, torch.float32)
    assert {parameter.device for parameter in model.parameters()} == {GPU}
    for state in stepper.optimizer.state.values():
        assert state["momentum_buffer"].device == GPU


class Refusing(NoWaiting):
    """Notes what PyTorch refuses on a GPU where bits are to be the same again, there or in its
    gradient (documentation of `torch.use_deterministic_algorithms`)."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is aten.nll_loss2d_forward.default and args[3] != 0:  # summed up
            self.refused.add(func)
        if func.overloadpacket in (aten._adaptive_avg_pool2d, aten.upsample_bilinear2d):
            self.refused.add(func.overloadpacket)
        return super().__torch_dispatch__(func, types, args, kwargs)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("wanted", [True, False])
def test_a_step_whose_bits_are_to_be_the_same_again(
    name: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WORKSPACE, raising=False)
    model, how, refusing = build(name), acceleration_on(GPU, deterministic=wanted), Refusing()
    images, labels = torch.randn(4, 3, *SIZE), torch.zeros(4, *SIZE, dtype=torch.uint8)
    with pretended_gpu() as pretended:
        pretended.learning = model.to(GPU).train()
        stepper = Stepper(model, recipe(), 255, GPU, acceleration=how)
        with same_bits(wanted, GPU), refusing:
            stepper.step(images, labels, 0, 0)
    assert bool(refusing.refused) != wanted
    assert stepper.tried != wanted
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


def test_an_environment_in_which_bits_may_differ_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(WORKSPACE, ":0:0")
    refused = pytest.raises(RunError, match=r"CUBLAS_WORKSPACE_CONFIG: ':0:0' .* unset it")
    with refused, same_bits(True, GPU):
        pass
    with same_bits(True, torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_batch_in_two_pieces() -> None:
    model, sums = build("DMNet"), LossMeans(ALONE)
    images, labels = torch.randn(4, 3, *SIZE), torch.randint(CLASSES, (4, *SIZE)).to(torch.uint8)
    # Labelled pixels it would count on the CPU, where a value may be asked for, but has none here.
    whole = recipe(bn_parts=2, loss_average="all")
    with pretended_gpu() as pretended:
        pretended.learning = model.to(GPU).train()
        stepper = Stepper(model, whole, 255, GPU, None, 2, acceleration_on(GPU))
        with NoWaiting():
            sums.add(stepper.step(images, labels, 0, 0)[0])
    assert {(x.device, x.dtype) for x in sums.own.values()} == {(GPU, torch.float64)}


@pytest.mark.parametrize(("name", "how"), pairs(PROTOCOLS, "scales and flip"))
@pytest.mark.parametrize("form", [PLAIN, OPTIMISED], ids=lambda form: form.name)
def test_an_evaluation(name: str, how: str, form: Form) -> None:
    model, protocol = build(name).eval(), InferenceConfig.model_validate(PROTOCOLS[how])
    picture = torch.randint(256, (3, *SIZE), dtype=torch.uint8)
    with pretended_gpu():
        model.to(GPU)
        used = optimised(model) if form is OPTIMISED else model
        with NoWaiting():
            scores = predict_scores(used, picture, recipe(), protocol, form, GPU)
            predicted = label_map(scores)
    assert (scores.shape, scores.device, scores.dtype) == ((CLASSES, *SIZE), GPU, torch.float32)
    assert (predicted.shape, predicted.device) == (SIZE, GPU)


# --------------------------------------------------------------------- what the pretended GPU sees


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: float(x.sum()),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.cpu(),
        lambda x: torch.ones(3).to(GPU),
        lambda x: torch.tensor([1.0, 2.0], device=GPU),
        lambda x: x.copy_(torch.ones(3)),
        lambda x: torch.bincount(x.long()),
    ],
)
def test_what_would_wait_for_a_gpu_is_an_error(operation: Callable[[Tensor], object]) -> None:
    with pretended_gpu():
        x = torch.ones(3).to(GPU)
        with NoWaiting(), pytest.raises(GPUWaitError):
            operation(x)


def test_tensors_of_two_devices_in_one_operation_are_an_error() -> None:
    layer = nn.Conv2d(3, 3, 1)
    with pretended_gpu():
        layer.to(GPU)
        with NoWaiting(), pytest.raises(TwoDevicesError):
            layer(torch.ones(1, 3, 4, 4))
