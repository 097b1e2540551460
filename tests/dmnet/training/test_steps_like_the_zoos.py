"""Training steps against both references: the same weights and batches, losses and weights after.

tests/reference/record_training.py let the references' own optimizer, schedule, losses and sampler
take four steps. In float64 every loss, the first gradients and all weights afterwards have to
agree to 1e-8; that shows that the arithmetic is the same. Rounding takes less than 1e-10 of it, on
any processor. The rest is the 1.2e-7 that mmsegmentation adds to the number of pixels when it
divides a loss by it: 5e-12 of the first loss, and 3e-9 by the fourth step of DeepLabV3, whose
pooled branch is normalised over four values.

In float32 that can be asked of the first step's losses only. These small untrained networks,
normalised over four images, multiply rounding errors from step to step: in the fourth,
mmsegmentation in float32 and mmsegmentation in float64 differ by up to 3e-2 in a loss, and another
processor rounds differently. So there the two distances from float64 are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dmnet.config import ModelConfig, RecipeConfig
from dmnet.importers import ZOOS
from dmnet.losses import Losses
from dmnet.segmentor import Segmentor
from dmnet.training.acceleration import PLAIN, Acceleration
from dmnet.training.step import Stepper
from tests.dmnet.margins import LEAST, margins_of_hard_pixels
from tests.dmnet.reference_models import our_model

Fidelity = Callable[..., None]
Golden = Callable[[str], Any]
IGNORE = 255
CPU = torch.device("cpu")
SOURCE = "tests/golden/training_steps.pt"
EXACT = 1e-8  # in float64, as README says
RUNS = {
    "dmnet": "DMNet (mmsegmentation)",
    "dmnet_769": "DMNet 769x769 (mmsegmentation)",
    "deeplabv3": "DeepLabV3 (mmsegmentation)",
    "bisenetv2": "BiSeNetV2 (mmsegmentation)",
    "bisenetv2_ohem": "BiSeNetV2 OHEM (mmsegmentation)",
    "bisenetv2_topk": "BiSeNetV2 OHEM top k (mmsegmentation)",
    "ssseg_dmnet": "DMNet (sssegmentation)",
}


class Replay:
    """Our four steps of a recorded run; `gradients`: norms, (steps, parameters) as recorded."""

    def __init__(
        self,
        run: dict[str, Any],
        recorded: dict[str, Any],
        golden: Golden,
        kind: str,
        device: torch.device = CPU,
        acceleration: Acceleration = PLAIN,
    ) -> None:
        config, classes, zoo = our_model(run)
        model = Segmentor(config, classes)
        checkpoint = golden(run["weights"])["checkpoint"]
        model.load_state_dict(ZOOS[zoo].to_ours(ZOOS[zoo].unwrap(checkpoint), model))
        dtype = getattr(torch, kind)
        model.to(device, dtype).train()
        recipe = recipe_of(run, zoo)
        stepper = Stepper(model, recipe, IGNORE, device, acceleration=acceleration)
        self.losses: list[Losses] = []
        self.rates: list[float] = []
        names, gradients = ZOOS[zoo].names(model), []
        recorded_names = run[kind]["parameters"]
        trained = {names[name]: parameter for name, parameter in model.named_parameters()}
        for iteration, (images, labels) in enumerate(
            zip(recorded["images"], recorded["labels"], strict=True)
        ):
            losses, lr = stepper.step(images.to(dtype), labels.long(), iteration)
            self.losses.append(losses)
            self.rates.append(lr)
            gradients.append([norm_of(trained[name].grad) for name in recorded_names])
        self.gradients = torch.tensor(gradients, dtype=torch.float64)
        self.state = ZOOS[zoo].to_theirs(model.cpu().state_dict(), model)
        self.zoo = zoo


def norm_of(gradient: Tensor | None) -> float:
    return 0.0 if gradient is None else float(gradient.double().norm())


def recipe_of(run: dict[str, Any], zoo: str) -> RecipeConfig:
    values: dict[str, Any] = {"lr": run["lr"], "iterations": 4, "weight_decay": 5e-4}
    values |= {"batch_size": 4, "crop_size": (64, 96), "conventions": zoo}
    values |= {"min_lr": 1e-4, "loss_average": "labelled"}
    if zoo == "mmsegmentation":
        values |= {"reaches_min_lr": True, "loss_average": "all"}
        values |= {"warmup_iterations": run["schedule"][-1]["begin"], "warmup_factor": 0.1}
    if run["ohem"] is not None:
        sampler = run["ohem"]
        values["ohem"] = {"threshold": sampler["thresh"], "min_kept": sampler["min_kept"]}
    return RecipeConfig.model_validate(values)


def by_head(losses: Losses, zoo: str) -> dict[str, float]:
    """Our losses under the reference's names."""
    auxiliary = [float(loss.detach()) for loss in losses.auxiliary_heads.values()]
    if zoo == "sssegmentation":
        named = {"loss_cls": float(losses.main.detach()), "loss_aux": auxiliary[0]}
        return {**named, "loss_total": float(losses.total.detach())}
    prefixes = ["aux"] if len(auxiliary) == 1 else [f"aux_{i}" for i in range(len(auxiliary))]
    named = {f"{p}.loss_ce": loss for p, loss in zip(prefixes, auxiliary, strict=True)}
    total = float(losses.total.detach())
    return {"decode.loss_ce": float(losses.main.detach()), **named, "loss": total}


def after(state: dict[str, Tensor], theirs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Norms and evenly spaced values of every tensor, as the recording has them."""
    tensors = [state[name].double().flatten() for name in theirs["names"]]
    places = [torch.linspace(0, len(t) - 1, min(16, len(t))).long() for t in tensors]
    values = torch.cat([t[where] for t, where in zip(tensors, places, strict=True)])
    return torch.stack([t.norm() for t in tensors]), values


def worst(ours: list[Losses], theirs: list[dict[str, float]], zoo: str) -> float:
    """The largest relative difference of any head's loss, or of their sum, in any step."""
    errors = []
    for losses, expected in zip(ours, theirs, strict=True):
        found = by_head(losses, zoo)
        assert set(found) == set(expected)
        errors += [abs(found[name] / loss - 1) for name, loss in expected.items()]
    return max(errors)


@pytest.mark.parametrize("run", RUNS)
def test_four_steps_in_float64(run: str, golden: Golden, fidelity: Fidelity) -> None:
    recorded = golden("training_steps")
    recording = recorded["runs"][run]
    with margins_of_hard_pixels() as margins:
        replay, theirs = Replay(recording, recorded, golden, "float64"), recording["float64"]
    assert bool(margins) is (recording["ohem"] is not None) and min(margins, default=1.0) > LEAST
    compare: dict[str, Any] = {"source": SOURCE, "limit": EXACT}
    error = worst(replay.losses, theirs["losses"], replay.zoo)
    fidelity(RUNS[run], "losses of all heads, steps 1 to 4, float64", 1 + error, 1.0, **compare)
    rates = [torch.tensor(r, dtype=torch.float64) for r in (replay.rates, theirs["lr"])]
    fidelity(RUNS[run], "learning rates, steps 1 to 4", *rates, limit=1e-9, source=SOURCE)
    for step in (1, 2):  # those of the last ones magnify the pixels' 1.2e-7 to 2e-7
        norms = replay.gradients[step - 1], theirs["gradients"][step - 1]
        fidelity(RUNS[run], f"gradient norms, step {step}, float64", *norms, **compare)
    norms, values = after(replay.state, theirs["after"])
    ratios = norms / theirs["after"]["norms"].clamp(min=1e-12)
    error = float((ratios - 1).abs().max())
    fidelity(RUNS[run], "norms of all tensors after 4 steps, float64", 1 + error, 1.0, **compare)
    what = "values of all tensors after 4 steps, float64"
    fidelity(RUNS[run], what, values, theirs["after"]["values"], **compare)


@pytest.mark.parametrize("run", RUNS)
def test_four_steps_in_float32(run: str, golden: Golden, fidelity: Fidelity) -> None:
    recorded = golden("training_steps")
    recording = recorded["runs"][run]
    replay = Replay(recording, recorded, golden, "float32")
    theirs, exact = recording["float32"], recording["float64"]
    error = worst(replay.losses[:1], theirs["losses"][:1], replay.zoo)
    fidelity(RUNS[run], "losses of all heads, step 1, float32", 1 + error, 1.0, source=SOURCE)
    ours = worst(replay.losses[1:], exact["losses"][1:], replay.zoo)
    of_theirs = max(
        abs(a[name] / b[name] - 1)
        for a, b in zip(theirs["losses"][1:], exact["losses"][1:], strict=True)
        for name in a
    )
    what, beside = "losses of all heads, steps 2 to 4, float32", {"exact": 1.0, "limit": 1e-4}
    fidelity(RUNS[run], what, 1 + ours, 1 + of_theirs, source=SOURCE, **beside)


# ------------------------------------------------------------------ the recordings that were given


def without_dropout(config: dict[str, Any]) -> dict[str, Any]:
    """Our configuration `config`, every head's dropout 0."""
    config["head"]["dropout"] = 0.0
    for part in config["auxiliary"].values():
        part["head"]["dropout"] = 0.0
    return config


def stepper_of(
    fixture: dict[str, Any], dtype: torch.dtype = torch.float32, **recipe: Any
) -> Stepper:
    """Training by the fixture's checkpoint, without dropout, at a learning rate of 0.01."""
    config, classes, zoo = our_model(fixture)
    config = ModelConfig.model_validate(without_dropout(config.model_dump()))
    model = Segmentor(config, classes)
    model.load_state_dict(ZOOS[zoo].to_ours(ZOOS[zoo].unwrap(fixture["checkpoint"]), model))
    fixed: dict[str, Any] = {"lr": 0.01, "min_lr": 0.01, "weight_decay": 5e-4, "iterations": 2}
    values = {**fixed, "batch_size": 2, "crop_size": (64, 64), **recipe}
    model = model.to(dtype).train()
    return Stepper(model, RecipeConfig.model_validate(values), IGNORE, torch.device("cpu"))


def two_steps(recorded: dict[str, Any], stepper: Stepper) -> dict[str, float | Tensor]:
    """Ours under the names of what `mmseg_train_dmnet_r50d8.pt` holds, by `recorded_steps`."""
    names = ZOOS["mmsegmentation"].names(stepper.model)
    dtype = next(stepper.model.parameters()).dtype
    found: dict[str, float | Tensor] = {}
    for number, expected in enumerate(recorded["steps"], 1):
        losses, _ = stepper.step(recorded["input"].to(dtype), recorded["target"], number - 1)
        for key, value in by_head(losses, "mmsegmentation").items():
            found[f"{'total loss' if key == 'loss' else key}, step {number}"] = value
        norms = {
            names[name]: norm_of(parameter.grad)
            for name, parameter in stepper.model.named_parameters()
            if parameter.grad is not None
        }
        assert set(norms) == set(expected["grad_norm"])
        in_order = [norms[key] for key in expected["grad_norm"]]
        found[f"gradient norms, step {number}"] = torch.tensor(in_order, dtype=torch.float64)
    state = ZOOS["mmsegmentation"].to_theirs(stepper.model.state_dict(), stepper.model)
    for name in ("weight", "bias"):
        key = f"decode_head.conv_seg.{name}"
        found[f"{key} after two steps"] = state[key]
    assert set(recorded["post_state_stats"]) == set(state)
    sums = [float(state[key].double().abs().sum()) for key in recorded["post_state_stats"]]
    found["sums of all tensors after two steps"] = torch.tensor(sums, dtype=torch.float64)
    return found


def recorded_steps(recorded: dict[str, Any]) -> dict[str, float | Tensor]:
    found: dict[str, float | Tensor] = {}
    for number, step in enumerate(recorded["steps"], 1):
        for key in ("decode.loss_ce", "aux.loss_ce"):
            found[f"{key}, step {number}"] = step["losses"][key]
        found[f"total loss, step {number}"] = step["total"]
        norms = torch.tensor(list(step["grad_norm"].values()), dtype=torch.float64)
        found[f"gradient norms, step {number}"] = norms
    found["decode_head.conv_seg.weight after two steps"] = recorded["conv_seg_after"]
    found["decode_head.conv_seg.bias after two steps"] = recorded["conv_seg_bias_after"]
    sums = [stats["abs"] for stats in recorded["post_state_stats"].values()]
    found["sums of all tensors after two steps"] = torch.tensor(sums, dtype=torch.float64)
    return found


def test_two_steps_of_mmsegmentations_dmnet(golden: Golden, fidelity: Fidelity) -> None:
    """In float64, and in float32 beside it: in the first step a gradient's norm is further from
    float64 in the recording than it is in ours."""
    recorded = golden("mmseg_train_dmnet_r50d8")
    theirs, exact = recorded_steps(recorded), recorded_steps(golden("float64")["steps"])
    fixture, source = golden(recorded["weights"]), "tests/golden/mmseg_train_dmnet_r50d8.pt"
    ours, ours_exact = (
        two_steps(recorded, stepper_of(fixture, dtype, loss_average="all"))
        for dtype in (torch.float32, torch.float64)
    )
    assert set(ours) == set(ours_exact) == set(theirs) == set(exact)
    for what, value in theirs.items():
        fidelity(RUNS["dmnet"], what, ours[what], value, exact=exact[what], source=source)
        compare: dict[str, Any] = {"limit": EXACT, "source": "tests/golden/float64.pt"}
        fidelity(RUNS["dmnet"], f"{what}, float64", ours_exact[what], exact[what], **compare)


def test_the_losses_of_sssegmentations_dmnet(golden: Golden, fidelity: Fidelity) -> None:
    fixture = golden("ssseg_dmnet_r50os8")
    recorded = fixture["train_loss"]
    stepper = stepper_of(fixture)
    target = recorded["target"].masked_fill(recorded["target"] == -100, IGNORE)
    found = by_head(stepper.step(recorded["input"], target, 0)[0], "sssegmentation")
    for key, loss in recorded["losses"].items():
        source = "tests/golden/ssseg_dmnet_r50os8.pt"
        fidelity(RUNS["ssseg_dmnet"], f"{key}, step 1", found[key], loss, source=source)
