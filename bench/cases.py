"""What is measured. Both sides read this; it needs nothing but the standard library."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Model:
    """One model at the published width, as either side names it."""

    title: str
    reference: str  # mmsegmentation's configuration file
    ours: dict[str, Any]  # a ModelConfig
    classes: int = 19


@dataclass(frozen=True)
class Case:
    """One measurement; `kind` is a key of KINDS in `ours` and `theirs`. Sizes are in pixels."""

    model: str  # a key of MODELS
    kind: str
    batch: int
    height: int
    width: int

    @property
    def title(self) -> str:
        return f"{self.model_title}, {KINDS[self.kind]}, {self.size}"

    @property
    def model_title(self) -> str:
        return "any" if self.kind == "data" else MODELS[self.model].title

    @property
    def size(self) -> str:
        return f"{self.batch} x {self.height} x {self.width}"

    def limit(self, device: str) -> float:
        """What the sides may differ by. device: "cuda" or "cpu"."""
        if self.kind in IN_HALF:
            return LIMIT_HALF
        return LIMIT_GPU if device == "cuda" else LIMIT

    def halved(self) -> Case:
        """The same with an image of half the height and width."""
        return replace(self, height=self.height // 2, width=self.width // 2)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


KINDS = {
    "forward": "forward pass",  # image -> logits at the head's resolution, evaluation mode
    "forward_optimised": "forward pass, optimised",  # ours in the form that dmnet/optimised gives
    "forward_bf16": "forward pass, optimised, bf16",  # GPUs only; the reference autocasts
    "train_step": "training step",  # forward, losses, backward, SGD; the loader is not in it
    "train_step_amp": "training step, fp16",  # both in mixed precision; GPUs only
    "train_step_bf16": "training step, bf16",  # the same; ours is no recipe's, only to compare
    "evaluation": "6 scales and flip, label map",  # from a decoded picture; ours optimised
    "data": "training batch from disk",  # PNG of 1024x2048, all augmentations; in this process
}
IN_HALF = ("forward_bf16", "train_step_amp", "train_step_bf16")  # in 16 bits; on GPUs only
# Of mixed precision: mmsegmentation's in 16-bit floats; bfloat16 needs none.
LOSS_SCALE = {"train_step_amp": 512.0, "train_step_bf16": 1.0}
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
ON_DISK = (1024, 2048)  # the size of the files that `data` reads

# What the sides' outputs may differ by: of the reference's range, or of a scalar's size.
LIMIT, LIMIT_HALF = 1e-5, 0.05
LIMIT_GPU = 1e-4  # in float32 without TF32: cuDNN picks Winograd's and Fourier's convolutions

RESNET = {"name": "resnet", "depth": 50, "stem": "deep", "output_stride": 8}
STAGE4 = {"stage4": {"head": {"name": "fcn", "channels": 256}, "stage": 4, "weight": 0.4}}
DEEPLY_SUPERVISED = {2: 16, 3: 64, 4: 256, 5: 1024}  # BiSeNetV2's stage -> channels of its head

MODELS = {
    "dmnet": Model(
        "DMNet R-50-D8",
        "dmnet/dmnet_r50-d8_4xb2-40k_cityscapes-512x1024.py",
        {"backbone": RESNET, "head": {"name": "dmnet", "fusion": False}, "auxiliary": STAGE4},
    ),
    "deeplabv3": Model(
        "DeepLabV3 R-50-D8",
        "deeplabv3/deeplabv3_r50-d8_4xb2-40k_cityscapes-512x1024.py",
        {"backbone": RESNET, "head": {"name": "aspp"}, "auxiliary": STAGE4},
    ),
    "bisenetv2": Model(
        "BiSeNetV2",
        "bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py",
        {
            "backbone": {"name": "bisenetv2"},
            "head": {"name": "fcn", "channels": 1024, "convolutions": 1},
            "auxiliary": {
                f"stage{stage}": {
                    "head": {"name": "fcn", "channels": channels, "convolutions": 2},
                    "stage": stage,
                    "weight": 1.0,
                }
                for stage, channels in DEEPLY_SUPERVISED.items()
            },
        },
    ),
}

FORWARD = tuple(
    Case(model, kind, 1, height, width)
    for model in MODELS
    for height, width in ((512, 512), (512, 1024))
    for kind in ("forward", "forward_optimised", "forward_bf16")
)
DATA = Case("dmnet", "data", 4, 512, 1024)
# On a CPU steps are of a size that takes seconds.
CASES = (
    *FORWARD,
    *(
        Case(model, "train_step", 2, 256, width)
        for model, width in (("dmnet", 256), ("deeplabv3", 256), ("bisenetv2", 512))
    ),
    *(Case(model, "evaluation", 1, 256, 512) for model in MODELS),
    DATA,
)
# On a GPU they have the recipes' own: the paper's and ADE20K's batch, Cityscapes' on one GPU of the
# releases' four, BiSeNetV2's there. The most telling first, as time on a GPU may be short.
GPU_CASES = (
    *(
        Case(model, kind, batch, height, width)
        for model, batch, height, width in (
            ("dmnet", 16, 512, 512),
            ("bisenetv2", 4, 1024, 1024),
            ("deeplabv3", 2, 512, 1024),
            ("dmnet", 2, 512, 1024),
        )
        for kind in ("train_step", "train_step_bf16", "train_step_amp")
    ),
    *FORWARD,
    *(Case(model, "evaluation", 1, 512, 1024) for model in MODELS),
    DATA,
)


def cases_on(device: str) -> tuple[Case, ...]:
    """What is measured on a device of this type."""
    if device == "cuda":
        return GPU_CASES
    return tuple(case for case in CASES if case.kind not in IN_HALF)


def kinds_on(device: str) -> list[str]:
    """Those of KINDS that a device of this type can do."""
    return [kind for kind in KINDS if device == "cuda" or kind not in IN_HALF]
