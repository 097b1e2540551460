"""On a GPU: what the references computed, in float32, in TF32 and in bf16.

In float32 the limit is the CPU's, 1e-5 of the range. TF32 keeps 10 bits of a number's mantissa and
bf16 7, and these small untrained networks magnify that by up to a hundred: what it comes to is
computed on the CPU beside it, for every recording, and a GPU may be three times as far off.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dmnet.config import InferenceConfig, RecipeConfig
from dmnet.inference.augmented import predict_scores
from dmnet.inference.form import OPTIMISED, PLAIN, Form, in_form
from dmnet.inference.windows import sliding_window_logits
from dmnet.optimised import Options, optimised
from dmnet.training import acceleration
from dmnet.training.acceleration import Acceleration, acceleration_on
from tests.conftest import ROUNDINGS
from tests.dmnet.importers.test_golden_models import CASES, FIXTURES, Recorded
from tests.dmnet.training.test_steps_like_the_zoos import EXACT, RUNS, Replay, worst

pytestmark = pytest.mark.gpu

Golden = Callable[[str], Any]
Fidelity = Callable[..., None]
Tf32 = Callable[[bool], AbstractContextManager[None]]
LAYOUTS = {"as it is": torch.contiguous_format, "channels innermost": torch.channels_last}


def error(ours: Tensor, theirs: Tensor) -> float:
    """As a part of the range."""
    theirs = theirs.double()
    return float((ours.cpu().double() - theirs).abs().max() / (theirs.max() - theirs.min()))


@pytest.fixture(scope="module", params=FIXTURES)
def recorded(request: pytest.FixtureRequest, golden: Golden) -> Recorded:
    return Recorded(request.param, golden(request.param))


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS)
def test_logits_in_float32(
    recorded: Recorded,
    layout: str,
    gpu: torch.device,
    tf32: Tf32,
    golden: Golden,
    fidelity: Fidelity,
) -> None:
    exact = golden("float64")["logits"].get(recorded.fixture, {})
    model = copy.deepcopy(recorded.model).to(gpu, memory_format=LAYOUTS[layout])
    with tf32(False):
        for case in CASES:
            theirs = recorded.content[case]
            images = theirs["input"].to(gpu, memory_format=LAYOUTS[layout])
            what, source = f"logits on a GPU, {case}, {layout}", recorded.fixture
            true = exact[case]["logits"] if exact else None
            ours = model(images).main.cpu()
            fidelity(recorded.name, what, ours, theirs["logits"], source=source, exact=true)


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_logits_in_tf32(recorded: Recorded, case: str, gpu: torch.device, tf32: Tf32) -> None:
    theirs, rounding = recorded.content[case], copy.deepcopy(recorded.model)
    for layer in rounding.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = to_tf32(layer.weight.data)
            layer.register_forward_pre_hook(lambda _, inputs: (to_tf32(inputs[0]),))
    limit = ROUNDINGS * error(rounding(theirs["input"]).main, theirs["logits"])
    with tf32(True):
        ours = copy.deepcopy(recorded.model).to(gpu)(theirs["input"].to(gpu)).main
    assert error(ours, theirs["logits"]) <= limit


def to_tf32(x: Tensor) -> Tensor:
    """Rounded to the nearest number with 10 bits of mantissa, as tensor cores read it."""
    dropped = 23 - 10
    bits = x.contiguous().view(torch.int32) + (1 << (dropped - 1))
    return (bits >> dropped << dropped).view(torch.float32)


def test_rounding_to_tf32() -> None:
    x = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-12, -1 - 3 * 2**-12, 0.0])
    assert to_tf32(x).tolist() == [1.0, 1 + 2**-10, 1.0, -1 - 2**-10, 0.0]


@torch.no_grad()
@pytest.mark.parametrize("how", ["autocast", "optimised"])
def test_logits_in_bf16(recorded: Recorded, how: str, gpu: torch.device, tf32: Tf32) -> None:
    def errors(device: torch.device, how: str = "autocast") -> list[float]:
        model = copy.deepcopy(recorded.model).to(device)
        if how == "optimised":
            model = optimised(model, Options(precision="bf16"))
        found = []
        for case in CASES:
            theirs = recorded.content[case]
            with torch.autocast(device.type, torch.bfloat16, enabled=how == "autocast"):
                ours = model(theirs["input"].to(device)).main
            found.append(error(ours, theirs["logits"]))
        return found

    with tf32(True):
        assert max(errors(gpu, how)) <= ROUNDINGS * max(errors(torch.device("cpu")))


def model_of(recorded: dict[str, Any], golden: Golden) -> nn.Module:
    return Recorded(recorded["weights"], golden(recorded["weights"])).model


@torch.no_grad()
def test_sliding_windows(
    gpu: torch.device,
    tf32: Tf32,
    golden: Golden,
    fidelity: Fidelity,
) -> None:
    recorded = golden("mmseg_slide_inference")["align_corners_false"]
    model = model_of(recorded, golden).to(gpu)
    window, stride = tuple(recorded["crop_size"]), tuple(recorded["stride"])
    with tf32(False):
        ours = sliding_window_logits(model, recorded["input"].to(gpu), window, stride).cpu()
    what, source = "sliding windows on a GPU: logits", "mmseg_slide_inference"
    fidelity("inference (mmsegmentation)", what, ours, recorded["seg_logits"], source=source)


@pytest.mark.parametrize("form", [PLAIN, OPTIMISED], ids=lambda form: form.name)
def test_scales_and_mirror_images(
    form: Form,
    gpu: torch.device,
    tf32: Tf32,
    golden: Golden,
    fidelity: Fidelity,
) -> None:
    recorded = golden("mmseg_tta")
    model = in_form(model_of(recorded, golden).to(gpu), form)
    picture = recorded["image_bgr_uint8"].permute(2, 0, 1).flip(0).contiguous()
    protocol = InferenceConfig(flip=True, scales=tuple(recorded["ratios"]))
    unused = {"lr": 1, "weight_decay": 0, "iterations": 1, "batch_size": 1, "crop_size": (8, 8)}
    own = {name: tuple(recorded[name]) for name in ("mean", "std")}
    recipe = RecipeConfig.model_validate({**unused, **own})
    with tf32(False):
        ours = predict_scores(model, picture, recipe, protocol, form, gpu).cpu()
    what, limit = f"probabilities on a GPU, {form.name}", 1e-5 if form is PLAIN else 1e-4
    compare = {"source": "mmseg_tta", "limit": limit}
    fidelity("inference (mmsegmentation)", what, ours, recorded["avg_softmax"], **compare)


# ------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("run", RUNS)
def test_four_steps_in_float64(
    run: str, gpu: torch.device, golden: Golden, fidelity: Fidelity
) -> None:
    recorded = golden("training_steps")
    recording = recorded["runs"][run]
    replay = Replay(recording, recorded, golden, "float64", gpu)
    off = worst(replay.losses, recording["float64"]["losses"], replay.zoo)
    what = "losses on a GPU, steps 1 to 4, float64"
    fidelity(RUNS[run], what, 1 + off, 1.0, source="training_steps", limit=EXACT)


@pytest.mark.parametrize("how", ["plain", "accelerated"])
@pytest.mark.parametrize("run", RUNS)
def test_the_first_step_in_float32(
    run: str, how: str, gpu: torch.device, tf32: Tf32, golden: Golden, fidelity: Fidelity
) -> None:
    fast: Acceleration = acceleration_on(gpu) if how == "accelerated" else acceleration.PLAIN
    recorded = golden("training_steps")
    recording = recorded["runs"][run]
    with tf32(False):
        replay = Replay(recording, recorded, golden, "float32", gpu, fast)
    off = worst(replay.losses[:1], recording["float64"]["losses"][:1], replay.zoo)
    what = f"losses on a GPU, step 1, float32, {how}"
    fidelity(RUNS[run], what, 1 + off, 1.0, source="training_steps")
