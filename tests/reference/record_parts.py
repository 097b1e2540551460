"""Record tests/golden/training_in_processes.pt: the references' steps in two and four processes.

    PYTHONPATH=tests/reference/site <reference python> tests/reference/record_parts.py

As record_training.py does, but in processes that divide the batch among them (gloo, on the CPU, in
float64), wrapped in DistributedDataParallel with each zoo's own settings. Kept are the losses of
every step, averaged over the processes, and what the first process would save.

PyTorch's SyncBatchNorm does not run on a CPU. `Synchronised` stands in for it: batch normalisation
written out, with sums over all processes that autograd goes through (all_reduce of
torch.distributed.nn). RUNS with "plain" have every process normalise by itself everywhere.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn.functional as autograd_dist
import torch.multiprocessing
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules
from record_training import GOLDEN, OHEM, SAMPLE, without_dropout
from ssseg.modules import (
    BuildDistributedModel,
    BuildOptimizer,
    BuildSegmentor,
    SSSegInputStructure,
)
from torch import Tensor, nn

STEPS, BATCH, SIZE, CLASSES = 3, 16, (64, 96), 19
EDGE = 16  # half of what one of BiSeNetV2's coarsest logits covers
# Name: fixture with the weights, processes, which batch normalisation is synchronised, sampler.
BISENET = {"weights": "mmseg_bisenetv2", "lr": 0.05}
SSSEG = {"weights": "ssseg_dmnet_r50os8", "lr": 0.01, "ohem": None}
RUNS: dict[str, dict[str, Any]] = {
    **{
        f"bisenetv2 in {n}": {**BISENET, "processes": n, "synchronised": "heads", "ohem": None}
        for n in (2, 4)
    },
    **{
        f"bisenetv2_ohem in {n}": {**BISENET, "processes": n, "synchronised": "heads", "ohem": OHEM}
        for n in (2, 4)
    },
    **{f"ssseg_dmnet in {n}": {**SSSEG, "processes": n, "synchronised": "all"} for n in (2, 4)},
    "bisenetv2_ohem plain in 2": {**BISENET, "processes": 2, "synchronised": None, "ohem": OHEM},
    "ssseg_dmnet plain in 2": {**SSSEG, "processes": 2, "synchronised": None},
}


def batches() -> tuple[Tensor, Tensor]:
    """(STEPS, BATCH, 3, h / 4, w / 4) float16 and (STEPS, BATCH, h, w) uint8 with 255 unlabelled.

    Images are enlarged fourfold, nearest, before they are used. The later one stands in its batch,
    the less of it is labelled; in the last batch images 8 to 11 have no label at all: one of four
    processes finds nothing to learn. With four images a process's statistics are well-conditioned,
    with two BiSeNetV2's context embedding would multiply rounding errors.

    The images after those have labels in their middle only. Where fewer pixels are labelled than
    OHEM keeps, it leaves out all that are as easy as the easiest. Up to EDGE pixels from the edge
    coarse logits go on unchanged, but for rounding; there the processor would say how many are.
    """
    rng = np.random.default_rng(1)
    images = rng.normal(size=(STEPS, BATCH, 3, SIZE[0] // 4, SIZE[1] // 4))
    labels = np.kron(
        rng.integers(0, CLASSES, (STEPS, BATCH, SIZE[0] // 8, SIZE[1] // 8)), np.ones((8, 8))
    ).astype(np.uint8)
    void = np.linspace(0.05, 0.8, BATCH)[None, :, None, None]
    labels[rng.random(labels.shape) < void] = 255
    labels[-1, 8:12] = 255
    middle = np.zeros(SIZE, bool)
    middle[EDGE:-EDGE, EDGE:-EDGE] = True
    labels[-1, 12:, ~middle] = 255
    return torch.from_numpy(images.astype(np.float16)), torch.from_numpy(labels)


def shares(rank: int, processes: int) -> list[tuple[Tensor, Tensor]]:
    """A process's images, float64, and labels of every batch."""
    images, labels = batches()
    images = images.double().repeat_interleave(4, -2).repeat_interleave(4, -1)
    pairs = zip(images, labels.long(), strict=True)
    return [(x.chunk(processes)[rank], y.chunk(processes)[rank]) for x, y in pairs]


class Synchronised(nn.BatchNorm2d):
    """What SyncBatchNorm computes, for processes with equally many images."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = autograd_dist.all_reduce(x.sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = autograd_dist.all_reduce(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        normalised = centred * (variance + self.eps).rsqrt()[:, None, None]
        return normalised * self.weight[:, None, None] + self.bias[:, None, None]


def synchronise(module: nn.Module) -> None:
    for layer in module.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = Synchronised


def summary(state: dict[str, Tensor]) -> dict[str, Any]:
    """`names`; `norms`; `values`: SAMPLE of each tensor, or all if fewer, end to end; float64."""
    tensors = [tensor.detach().double().flatten() for tensor in state.values()]
    values = [t[torch.linspace(0, len(t) - 1, min(SAMPLE, len(t))).long()] for t in tensors]
    norms = torch.stack([t.norm() for t in tensors])
    return {"names": list(state), "norms": norms, "values": torch.cat(values)}


def mean_over_processes(losses: dict[str, float]) -> dict[str, float]:
    values = torch.tensor(list(losses.values()), dtype=torch.float64)
    dist.all_reduce(values)
    return dict(zip(losses, (values / dist.get_world_size()).tolist(), strict=True))


def mmsegmentation(run: dict[str, Any], config: dict[str, Any], state: dict[str, Tensor]) -> Any:
    if run["ohem"] is not None:
        for head in [config["decode_head"], *config["auxiliary_head"]]:
            head["sampler"] = run["ohem"]
    model = MODELS.build(config)
    model.load_state_dict(state)
    model.double().train()
    if run["synchronised"] == "heads":
        synchronise(model.decode_head)
        synchronise(model.auxiliary_head)
    optimizer = {"type": "SGD", "lr": run["lr"], "momentum": 0.9, "weight_decay": 5e-4}
    wrapper = build_optim_wrapper(
        model, {"type": "OptimWrapper", "optimizer": optimizer, "clip_grad": None}
    )
    # As mmengine's Runner (and release 0.x) wraps it.
    parallel = MMDistributedDataParallel(model, broadcast_buffers=False)
    losses = []
    for images, labels in shares(dist.get_rank(), run["processes"]):
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
        total, log = model.parse_losses(parallel(images, samples, mode="loss"))
        losses.append(mean_over_processes({k: float(v) for k, v in log.items() if "loss" in k}))
        wrapper.update_params(total)
    return model, losses


def sssegmentation(run: dict[str, Any], config: dict[str, Any], state: dict[str, Tensor]) -> Any:
    model = BuildSegmentor(segmentor_cfg=copy.deepcopy(config), mode="TRAIN")
    model.load_state_dict(state)
    model.double().train()
    if run["synchronised"] == "all":
        synchronise(model)
    settings = {**copy.deepcopy(config["scheduler"]["optimizer"]), "lr": run["lr"]}
    optimizer = BuildOptimizer(model, settings)
    parallel = BuildDistributedModel(model, {})
    losses = []
    for images, labels in shares(dist.get_rank(), run["processes"]):
        target = labels.masked_fill(labels == 255, -100)
        optimizer.zero_grad()
        structure = SSSegInputStructure(mode="TRAIN", images=images, seg_targets=target)
        # What it logs is the average over the processes already: NaN if one has no label.
        loss, log = parallel(structure).getsetvariables().values()
        loss.backward()
        optimizer.step()
        losses.append({key: float(value) for key, value in log.items()})
    return model, losses


def check(model: nn.Module) -> None:
    """Weights are the same in all processes."""
    for parameter in model.parameters():
        first = parameter.detach().clone()
        dist.broadcast(first, src=0)
        assert torch.equal(first, parameter) and bool(first.isfinite().all())


def process(rank: int, processes: int, folder: str) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet{processes}", rank=rank, world_size=processes
    )
    register_all_modules()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    recorded = {}
    for name, run in RUNS.items():
        if run["processes"] != processes:
            continue
        fixture = torch.load(GOLDEN / f"{run['weights']}.pt", weights_only=True)
        config = without_dropout(json.loads(fixture["config_json"]))
        zoo = mmsegmentation if "decode_head" in config else sssegmentation
        state = fixture["checkpoint"]["state_dict" if zoo is mmsegmentation else "model"]
        model, losses = zoo(run, copy.deepcopy(config), state)
        check(model)
        after = summary(model.state_dict())
        recorded[name] = {**run, "config_json": json.dumps(config), "losses": losses}
        recorded[name]["after"] = after
    if rank == 0:
        torch.save(recorded, f"{folder}/{processes}.pt")
    dist.destroy_process_group()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Any] = {}
        for processes in (2, 4):
            torch.multiprocessing.spawn(process, (processes, folder), processes)
            runs |= torch.load(f"{folder}/{processes}.pt", weights_only=True)
    images, labels = batches()
    torch.save(
        {"images": images, "labels": labels, "runs": {name: runs[name] for name in RUNS}},
        GOLDEN / "training_in_processes.pt",
    )
    for name, run in runs.items():
        print(name, run["losses"][-1], file=sys.stderr)


if __name__ == "__main__":
    main()
