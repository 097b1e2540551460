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
from mmcv.transforms import Compose, TestTimeAug
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS as REGISTRY
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from bench import worker
from bench.cases import IN_HALF, LOSS_SCALE, MODELS, ON_DISK, SCALES, Case

CONFIGS = Path(mmseg.__file__).parent / ".mim" / "configs"


def configuration(case: Case) -> Any:
    return Config.fromfile(CONFIGS / MODELS[case.model].reference)


def build(case: Case, folder: Path) -> nn.Module:
    """The model with random weights, which lie in `folder` for the other side."""
    config = configuration(case)
    torch.manual_seed(worker.WEIGHTS_SEED)
    model = REGISTRY.build(ConfigDict(plain_norm(config.model.to_dict()) | {"pretrained": None}))
    model.init_weights()
    worker.spread_normalisation(model)
    if case.kind == "evaluation":
        moderate(model, worker.images(case, torch.device("cpu")))
    torch.save(model.state_dict(), folder / f"{case.model}.pt")
    return model


@torch.no_grad()
def moderate(model: Any, images: Tensor) -> None:
    """Logits of a trained model's size. Random weights may give thousands, of which softmax makes
    zeros and ones that rounding turns over."""
    logits = model.eval()(images, mode="tensor")
    for parameter in model.decode_head.conv_seg.parameters():
        parameter.mul_(20 / (logits.max() - logits.min()))


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
        self.half = case.kind in IN_HALF

    def outputs(self) -> dict[str, Tensor]:
        return {"logits": self._forward()}

    def run(self) -> None:
        self._forward()

    @torch.no_grad()
    def _forward(self) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=self.half):
            logits: Tensor = self.model(self.images, mode="tensor")
        return logits.float()


class Evaluation:
    """Its test-time augmentation of a decoded picture: resized, mirrored, predicted, merged."""

    def __init__(self, case: Case, folder: Path, device: torch.device) -> None:
        model = build(case, folder).to(device).eval()
        self.model: Any = REGISTRY.build({"type": "SegTTAModel", "module": model}).eval()
        resize = [{"type": "Resize", "scale_factor": s, "keep_ratio": True} for s in SCALES]
        flip = [{"type": "RandomFlip", "prob": p, "direction": "horizontal"} for p in (0.0, 1.0)]
        self.views = TestTimeAug([resize, flip, [{"type": "PackSegInputs"}]])
        self.picture = worker.picture(case.height, case.width)[..., ::-1].copy()  # BGR

    def outputs(self) -> dict[str, Tensor]:
        """The mean scores, of which its merging makes a label map."""
        data = self._data()
        with torch.no_grad():
            results = [
                self.model.module.test_step({"inputs": images, "data_samples": samples})[0]
                for images, samples in zip(data["inputs"], data["data_samples"], strict=True)
            ]
        maps = [result.seg_logits.data.softmax(0) for result in results]
        return {"probabilities": sum(maps[1:], maps[0]) / len(maps)}

    def run(self) -> None:
        with torch.no_grad():
            self.model.test_step(self._data())

    def _data(self) -> Any:
        size = self.picture.shape[:2]
        content = {"img": self.picture, "img_shape": size, "ori_shape": size, "img_path": ""}
        return pseudo_collate([self.views(content)])


class Data:
    """Its training pipeline on files, then what its model does with a batch before the network."""

    def __init__(self, case: Case, folder: Path, device: torch.device) -> None:
        config = configuration(case)
        self.pairs = worker.write_photographs(folder, case.batch, MODELS[case.model].classes)
        self.pipeline = Compose([TRANSFORMS.build(step) for step in config.train_pipeline])
        self.preprocess: Any = REGISTRY.build(config.model.data_preprocessor)

    def outputs(self) -> dict[str, Tensor]:
        height, width = (side * 3 // 4 for side in ON_DISK)
        resize = {"type": "Resize", "scale": (width, height), "keep_ratio": True}
        steps = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}, resize]
        steps.append({"type": "PackSegInputs"})
        packed = Compose([TRANSFORMS.build(step) for step in steps])(self._files(0))
        batch = self.preprocess(pseudo_collate([packed]), training=False)
        return {"image": batch["inputs"][0], "label": packed["data_samples"].gt_sem_seg.data[0]}

    def run(self) -> None:
        samples = [self.pipeline(self._files(index)) for index in range(len(self.pairs))]
        self.preprocess(pseudo_collate(samples), training=True)

    def _files(self, index: int) -> dict[str, Any]:
        image, label = (str(path) for path in self.pairs[index])
        paths = {"img_path": image, "seg_map_path": label}
        return {**paths, "label_map": None, "reduce_zero_label": False, "seg_fields": []}


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
        self.optimizer: Any = OptimWrapper(sgd)
        if case.kind in IN_HALF:
            dtype = "bfloat16" if case.kind == "train_step_bf16" else "float16"
            scale = LOSS_SCALE[case.kind]
            self.optimizer = AmpOptimWrapper(optimizer=sgd, loss_scale=scale, dtype=dtype)

    def outputs(self) -> dict[str, Tensor]:
        with worker.without_dropout(self.model):
            return {"loss": self._step()}

    def run(self) -> None:
        self._step()

    def _step(self) -> Tensor:
        with self.optimizer.optim_context(self.model):
            losses = self.model(self.images, self.samples, mode="loss")
        loss: Tensor = self.model.parse_losses(losses)[0]
        self.optimizer.update_params(loss)
        return loss.detach()


KINDS: dict[str, Callable[[Case, Path, torch.device], worker.Job]] = {
    "forward": Forward,
    "forward_optimised": Forward,
    "forward_bf16": Forward,
    "train_step": TrainStep,
    "train_step_amp": TrainStep,
    "train_step_bf16": TrainStep,
    "evaluation": Evaluation,
    "data": Data,
}


def make(case: Case, folder: Path, device: torch.device) -> worker.Job:
    return KINDS[case.kind](case, folder, device)


if __name__ == "__main__":
    init_default_scope("mmseg")
    worker.serve(make)
