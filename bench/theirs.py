"""mmsegmentation's side; runs in the environment of tests/reference, which has no `dmnet`.

A model is built from the toolbox's own configuration file, with plain in place of synchronised
batch normalisation, as one process has it. A training step is what its runner does with a batch:
losses (the accuracy that it logs included), backward, SGD; without normalising the images.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmseg
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS as REGISTRY
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from bench import worker
from bench.cases import MODELS, Case

CONFIGS = Path(mmseg.__file__).parent / ".mim" / "configs"


def build(case: Case, folder: Path) -> nn.Module:
    """The model with random weights, which lie in `folder` for the other side."""
    config = Config.fromfile(CONFIGS / MODELS[case.model].reference)
    torch.manual_seed(worker.WEIGHTS_SEED)
    model = REGISTRY.build(plain_norm(config.model.to_dict()) | {"pretrained": None})
    model.init_weights()
    worker.spread_normalisation(model)
    torch.save(model.state_dict(), folder / f"{case.model}.pt")
    return model


def plain_norm(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: plain_norm(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(plain_norm(value) for value in config)
    return "BN" if config == "SyncBN" else config


class Forward:
    def __init__(self, case: Case, folder: Path, device: torch.device) -> None:
        self.model = build(case, folder).to(device).eval()
        self.images = worker.images(case, device)

    def outputs(self) -> dict[str, Tensor]:
        return {"logits": self._forward()}

    def run(self) -> None:
        self._forward()

    @torch.no_grad()
    def _forward(self) -> Tensor:
        logits: Tensor = self.model(self.images, mode="tensor")
        return logits


class TrainStep:
    def __init__(self, case: Case, folder: Path, device: torch.device) -> None:
        self.model: Any = build(case, folder).to(device).train()
        self.images = worker.images(case, device)
        size = (case.height, case.width)
        metadata = {"img_shape": size, "ori_shape": size, "pad_shape": size}
        self.samples = []
        for label in worker.labels(case, MODELS[case.model].classes, device):
            sample = SegDataSample(metainfo=metadata)
            sample.gt_sem_seg = PixelData(data=label[None])
            self.samples.append(sample)
        sgd = torch.optim.SGD(
            self.model.parameters(),
            lr=worker.SGD["lr"],
            momentum=worker.SGD["momentum"],
            weight_decay=worker.SGD["weight_decay"],
        )
        self.optimizer = OptimWrapper(sgd)

    def outputs(self) -> dict[str, Tensor]:
        with worker.without_dropout(self.model):
            return {"loss": self._step()}

    def run(self) -> None:
        self._step()

    def _step(self) -> Tensor:
        losses = self.model(self.images, self.samples, mode="loss")
        loss: Tensor = self.model.parse_losses(losses)[0]
        self.optimizer.update_params(loss)
        return loss.detach()


KINDS: dict[str, Callable[[Case, Path, torch.device], worker.Job]] = {
    "forward": Forward,
    "forward_optimised": Forward,
    "forward_bf16": Forward,
    "train_step": TrainStep,
}


def make(case: Case, folder: Path, device: torch.device) -> worker.Job:
    return KINDS[case.kind](case, folder, device)


if __name__ == "__main__":
    init_default_scope("mmseg")
    worker.serve(make)
