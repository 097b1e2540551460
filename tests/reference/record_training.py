"""Record tests/golden/training_steps.pt: a few SGD steps as both references take them.

    PYTHONPATH=tests/reference/site <reference python> tests/reference/record_training.py

Every run starts from the checkpoint of a fixture in tests/golden (its `weights`), with that
fixture's configuration but for dropout, which is 0, and takes the references' own optimizer,
schedule, losses and sampler through STEPS batches, once in float32 and once in float64. Kept are
the losses, the learning rate and the norm of every parameter's gradient in every step, and of every
tensor afterwards its norm and a few evenly spaced values, all in float64.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules
from ssseg.modules import BuildOptimizer, BuildScheduler, BuildSegmentor, SSSegInputStructure
from torch import Tensor

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
STEPS, BATCH, SIZE, CLASSES = 4, 4, (64, 96), 19
SAMPLE = 16

POLY = [{"type": "PolyLR", "eta_min": 1e-4, "power": 0.9, "begin": 0, "end": STEPS}]
WARM = [
    {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 2},
    {"type": "PolyLR", "eta_min": 1e-4, "power": 0.9, "begin": 2, "end": STEPS},
]
OHEM = {"type": "OHEMPixelSampler", "thresh": 0.2, "min_kept": 1000}
# name: (fixture with the weights, lr, schedule, sampler); what the recipe of ours is made from
RUNS: dict[str, dict[str, Any]] = {
    "dmnet": {"weights": "mmseg_dmnet_r50d8", "lr": 0.01, "schedule": POLY, "ohem": None},
    "deeplabv3": {"weights": "mmseg_deeplabv3_r50d8", "lr": 0.01, "schedule": POLY, "ohem": None},
    "dmnet_769": {"weights": "mmseg_dmnet_r50d8_769", "lr": 0.01, "schedule": POLY, "ohem": None},
    "bisenetv2": {"weights": "mmseg_bisenetv2", "lr": 0.05, "schedule": WARM, "ohem": None},
    "bisenetv2_ohem": {"weights": "mmseg_bisenetv2", "lr": 0.05, "schedule": WARM, "ohem": OHEM},
    "bisenetv2_topk": {
        **{"weights": "mmseg_bisenetv2", "lr": 0.05, "schedule": WARM},
        "ohem": {**OHEM, "thresh": None},
    },
    "ssseg_dmnet": {"weights": "ssseg_dmnet_r50os8", "lr": 0.01, "schedule": None, "ohem": None},
}


def batches() -> tuple[Tensor, Tensor]:
    """(STEPS, BATCH, 3, *SIZE) float16 and (STEPS, BATCH, *SIZE) uint8 with 255 unlabelled."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(STEPS, BATCH, 3, SIZE[0] // 4, SIZE[1] // 4))
    images = np.kron(images, np.ones((4, 4)))  # large structures, so that pooling sees something
    labels = np.kron(
        rng.integers(0, CLASSES, (STEPS, BATCH, SIZE[0] // 8, SIZE[1] // 8)), np.ones((8, 8))
    ).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.15] = 255
    return torch.from_numpy(images.astype(np.float16)), torch.from_numpy(labels)


def without_dropout(config: Any) -> Any:
    """mmsegmentation's heads have 0.1 where nothing is said."""
    if isinstance(config, list):
        return [without_dropout(part) for part in config]
    if not isinstance(config, dict):
        return config
    changed = {key: without_dropout(part) for key, part in config.items()}
    if changed.get("type", "").endswith("Head"):
        changed["dropout_ratio"] = 0.0
    if "dropout" in changed:
        changed["dropout"] = 0.0
    return changed


def summary(state: dict[str, Tensor]) -> dict[str, Any]:
    """`names`; `norms` (float64); `values`: SAMPLE of each tensor, or all if fewer, end to end."""
    tensors = [tensor.detach().double().flatten() for tensor in state.values()]
    values = [t[torch.linspace(0, len(t) - 1, min(SAMPLE, len(t))).long()] for t in tensors]
    norms = torch.stack([t.norm() for t in tensors])
    return {"names": list(state), "norms": norms, "values": torch.cat(values)}


def gradient_norms(model: torch.nn.Module) -> Tensor:
    """(parameters,) float64, in the order of `model.named_parameters()`; 0 where there is none."""
    gradients = [parameter.grad for parameter in model.parameters()]
    norms = [torch.zeros(()) if g is None else g.double().norm() for g in gradients]
    return torch.stack([norm.double() for norm in norms])


def mmsegmentation(
    config: dict[str, Any], state: dict[str, Tensor], run: dict[str, Any], dtype: torch.dtype
) -> dict[str, Any]:
    if run["ohem"] is not None:
        auxiliary = config["auxiliary_head"]
        for head in [config["decode_head"], *auxiliary]:
            head["sampler"] = run["ohem"]
    model = MODELS.build(config)
    model.load_state_dict(state)
    model.to(dtype).train()
    wrapper = build_optim_wrapper(
        model,
        {
            "type": "OptimWrapper",
            "optimizer": {"type": "SGD", "lr": run["lr"], "momentum": 0.9, "weight_decay": 5e-4},
            "clip_grad": None,
        },
    )
    schedules = [
        PARAM_SCHEDULERS.build({**part, "by_epoch": False, "optimizer": wrapper})
        for part in run["schedule"]
    ]
    losses, rates, gradients = [], [], []
    for images, labels in zip(*batches(), strict=True):
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None].long())) for label in labels]
        total, log = model.parse_losses(model.loss(images.to(dtype), samples))
        rates.append(wrapper.get_lr()["lr"][0])
        losses.append({k: float(v) for k, v in log.items() if "loss" in k})
        wrapper.backward(total)  # with what follows, `update_params`, but for a look in between
        gradients.append(gradient_norms(model))
        wrapper.step()
        wrapper.zero_grad()
        for part in schedules:
            part.step()
    return result(model, losses, rates, gradients)


def sssegmentation(
    config: dict[str, Any], state: dict[str, Tensor], run: dict[str, Any], dtype: torch.dtype
) -> dict[str, Any]:
    model = BuildSegmentor(segmentor_cfg=copy.deepcopy(config), mode="TRAIN")
    model.load_state_dict(state)
    model.to(dtype).train()
    settings = copy.deepcopy(config["scheduler"])
    settings["optimizer"]["lr"] = run["lr"]
    optimizer = BuildOptimizer(model, settings["optimizer"])
    settings.update(
        {"lr": run["lr"], "iters_per_epoch": STEPS, "max_epochs": 1, "params_rules": {}}
    )
    scheduler = BuildScheduler(optimizer=optimizer, scheduler_cfg=settings)
    losses, rates, gradients = [], [], []
    for images, labels in zip(*batches(), strict=True):
        rates.append(scheduler.updatelr())
        target = labels.long()
        target[target == 255] = -100
        optimizer.zero_grad()
        outputs = model(
            SSSegInputStructure(mode="TRAIN", images=images.to(dtype), seg_targets=target)
        )
        loss, log = outputs.getsetvariables().values()
        loss.backward()
        gradients.append(gradient_norms(model))
        scheduler.step()
        losses.append({key: float(value) for key, value in log.items()})
    return result(model, losses, rates, gradients)


def result(
    model: torch.nn.Module,
    losses: list[dict[str, float]],
    rates: list[float],
    gradients: list[Tensor],
) -> dict[str, Any]:
    """`losses` and `lr` of every step; `gradients`: (STEPS, parameters) norms; `after`."""
    return {
        "losses": losses,
        "lr": rates,
        "gradients": torch.stack(gradients),
        "parameters": [name for name, _ in model.named_parameters()],
        "after": summary(model.state_dict()),
    }


def main() -> None:
    register_all_modules()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    recorded = {}
    for name, run in RUNS.items():
        fixture = torch.load(GOLDEN / f"{run['weights']}.pt", weights_only=True)
        config = without_dropout(json.loads(fixture["config_json"]))
        zoo = mmsegmentation if "decode_head" in config else sssegmentation
        state = fixture["checkpoint"]["state_dict" if zoo is mmsegmentation else "model"]
        recorded[name] = {
            **run,
            "config_json": json.dumps(config),
            **{
                str(dtype).removeprefix("torch."): zoo(copy.deepcopy(config), state, run, dtype)
                for dtype in (torch.float32, torch.float64)
            },
        }
        print(name, recorded[name]["float32"]["losses"][-1], recorded[name]["float32"]["lr"])
        print(name, recorded[name]["float64"]["losses"][-1])
    images, labels = batches()
    torch.save({"images": images, "labels": labels, "runs": recorded}, GOLDEN / "training_steps.pt")


if __name__ == "__main__":
    main()
