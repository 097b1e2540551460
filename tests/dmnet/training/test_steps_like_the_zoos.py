"""Training steps against both references: the same weights and batches, losses and weights after.

tests/reference/record_training.py let the references' own optimizer, schedule, losses and sampler
take four steps. In float64 every loss of every step and all weights afterwards have to agree to
1e-5; that shows that the arithmetic is the same.

In float32 that can be asked of the first step only. These small untrained networks, normalised
over four images, multiply rounding errors from step to step: in the fourth, mmsegmentation in
float32 and mmsegmentation in float64 differ by up to 3e-2 in a loss. The later float32 steps are
therefore bounded by three times that distance, which is part of the recording, and by no less than
1e-4.
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
from dmnet.training.step import Stepper
from tests.dmnet.reference_models import our_model

Fidelity = Callable[..., None]
Golden = Callable[[str], Any]
IGNORE = 255
SOURCE = "tests/golden/training_steps.pt"
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
    """Our four steps of a recorded run."""

    def __init__(self, run: dict[str, Any], recorded: dict[str, Any], golden: Golden, kind: str):
        config, classes, zoo = our_model(run)
        model = Segmentor(config, classes)
        checkpoint = golden(run["weights"])["checkpoint"]
        model.load_state_dict(ZOOS[zoo].to_ours(ZOOS[zoo].unwrap(checkpoint), model))
        dtype = getattr(torch, kind)
        stepper = Stepper(model.to(dtype).train(), recipe_of(run, zoo), IGNORE, torch.device("cpu"))
        self.losses: list[Losses] = []
        self.rates: list[float] = []
        for iteration, (images, labels) in enumerate(
            zip(recorded["images"], recorded["labels"], strict=True)
        ):
            losses, lr = stepper.step(images.to(dtype), labels.long(), iteration)
            self.losses.append(losses)
            self.rates.append(lr)
        self.state = ZOOS[zoo].to_theirs(model.state_dict(), model)
        self.zoo = zoo


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
    return torch.stack([t.norm() for t in tensors]), values.float()


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
    replay, theirs = Replay(recording, recorded, golden, "float64"), recording["float64"]
    compare = {"source": SOURCE}
    error = worst(replay.losses, theirs["losses"], replay.zoo)
    fidelity(RUNS[run], "losses of all heads, steps 1 to 4, float64", 1 + error, 1.0, **compare)
    rates = [torch.tensor(r, dtype=torch.float64) for r in (replay.rates, theirs["lr"])]
    fidelity(RUNS[run], "learning rates, steps 1 to 4", *rates, limit=1e-9, **compare)
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
    theirs, exact = recording["float32"]["losses"], recording["float64"]["losses"]
    error = worst(replay.losses[:1], theirs[:1], replay.zoo)
    fidelity(RUNS[run], "losses of all heads, step 1, float32", 1 + error, 1.0, source=SOURCE)
    error = worst(replay.losses[1:], theirs[1:], replay.zoo)
    rounding = max(
        abs(a[name] / b[name] - 1) for a, b in zip(theirs, exact, strict=True) for name in a
    )
    what, limit = "losses of all heads, steps 2 to 4, float32", max(1e-4, 3 * rounding)
    fidelity(RUNS[run], what, 1 + error, 1.0, limit=limit, source=SOURCE)


# ------------------------------------------------------------------ the recordings that were given


def without_dropout(config: dict[str, Any]) -> dict[str, Any]:
    """Our configuration `config`, every head's dropout 0."""
    config["head"]["dropout"] = 0.0
    for part in config["auxiliary"].values():
        part["head"]["dropout"] = 0.0
    return config


def stepper_of(fixture: dict[str, Any], **recipe: Any) -> Stepper:
    """Training by the fixture's checkpoint, without dropout, at a learning rate of 0.01."""
    config, classes, zoo = our_model(fixture)
    config = ModelConfig.model_validate(without_dropout(config.model_dump()))
    model = Segmentor(config, classes)
    model.load_state_dict(ZOOS[zoo].to_ours(ZOOS[zoo].unwrap(fixture["checkpoint"]), model))
    fixed: dict[str, Any] = {"lr": 0.01, "min_lr": 0.01, "weight_decay": 5e-4, "iterations": 2}
    values = {**fixed, "batch_size": 2, "crop_size": (64, 64), **recipe}
    return Stepper(model.train(), RecipeConfig.model_validate(values), IGNORE, torch.device("cpu"))


def test_two_steps_of_mmsegmentations_dmnet(golden: Golden, fidelity: Fidelity) -> None:
    recorded = golden("mmseg_train_dmnet_r50d8")
    name, source = RUNS["dmnet"], "tests/golden/mmseg_train_dmnet_r50d8.pt"
    stepper = stepper_of(golden(recorded["weights"]), loss_average="all")
    names = ZOOS["mmsegmentation"].names(stepper.model)
    for number, expected in enumerate(recorded["steps"], 1):
        losses, _ = stepper.step(recorded["input"], recorded["target"], number - 1)
        limit = 1e-5 if number == 1 else 1e-3  # the second is sensitive to the order of sums
        compare = {"limit": limit, "source": source}
        found = by_head(losses, "mmsegmentation")
        for key in ("decode.loss_ce", "aux.loss_ce"):
            fidelity(name, f"{key}, step {number}", found[key], expected["losses"][key], **compare)
        fidelity(name, f"total loss, step {number}", found["loss"], expected["total"], **compare)
        norms = {
            names[parameter]: float(tensor.grad.norm())
            for parameter, tensor in stepper.model.named_parameters()
            if tensor.grad is not None
        }
        assert set(norms) == set(expected["grad_norm"])
        theirs = torch.tensor([expected["grad_norm"][key] for key in norms])
        ours = torch.tensor(list(norms.values()))
        fidelity(name, f"gradient norms, step {number}", ours, theirs, **compare)
    state = ZOOS["mmsegmentation"].to_theirs(stepper.model.state_dict(), stepper.model)
    compare = {"limit": 1e-3, "source": source}
    for key, tensor in (
        ("decode_head.conv_seg.weight", recorded["conv_seg_after"]),
        ("decode_head.conv_seg.bias", recorded["conv_seg_bias_after"]),
    ):
        fidelity(name, f"{key} after two steps", state[key], tensor, **compare)
    stats = recorded["post_state_stats"]
    assert set(stats) == set(state)
    ours = torch.tensor([float(tensor.double().abs().sum()) for tensor in state.values()])
    theirs = torch.tensor([stats[key]["abs"] for key in state])
    fidelity(name, "sums of all tensors after two steps", ours, theirs, **compare)


def test_the_losses_of_sssegmentations_dmnet(golden: Golden, fidelity: Fidelity) -> None:
    fixture = golden("ssseg_dmnet_r50os8")
    recorded = fixture["train_loss"]
    stepper = stepper_of(fixture)
    target = recorded["target"].masked_fill(recorded["target"] == -100, IGNORE)
    found = by_head(stepper.step(recorded["input"], target, 0)[0], "sssegmentation")
    for key, loss in recorded["losses"].items():
        source = "tests/golden/ssseg_dmnet_r50os8.pt"
        fidelity(RUNS["ssseg_dmnet"], f"{key}, step 1", found[key], loss, source=source)
