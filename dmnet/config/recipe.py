"""How weights are trained: optimizer, schedule, augmentation, loss.

As in dmnet/config/model.py a field with one legal value is a constant of the code.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dmnet.config.sections import Section

Positive = Annotated[float, Field(gt=0)]


Size = tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]]  # (height, width), pixels


class OHEMConfig(Section):
    """Online hard example mining: only pixels that are still hard count in the loss."""

    threshold: float | None = Field(0.7, gt=0, le=1)  # probability of the true class; None: top k
    min_kept: int = Field(ge=1)  # pixels per image that count at least
    parts: int = Field(1, ge=1)  # of a batch that choose by themselves, as GPUs do


class RecipeConfig(Section):
    """How the weights are trained. Images are 8-bit RGB; sizes are (height, width) in pixels."""

    optimizer: Literal["sgd"] = "sgd"
    lr: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    power: float = Field(0.9, gt=0)
    min_lr: float = Field(0.0, ge=0)
    reaches_min_lr: bool = False  # the last iteration has min_lr, not the one after it
    warmup_iterations: int = Field(0, ge=0)  # linear, from warmup_factor x lr; poly begins after it
    warmup_factor: float = Field(0.1, gt=0, le=1)
    warmup_times_poly: bool = False  # warm-up multiplies poly, which begins at once (mmcv 1.x)
    iterations: int = Field(ge=1)
    batch_size: int = Field(ge=1)  # the total over all devices
    crop_size: Size
    load_scale: float = Field(1.0, gt=0, le=1)  # photographs are shrunk by this when loaded
    fit_size: Size | None = None  # what `scale_range` multiplies; None: the photograph's own size
    scale_range: tuple[float, float] = (0.5, 2.0)
    cat_max_ratio: float = Field(1.0, gt=0, le=1)  # a crop with more of one class is drawn again
    flip: float = Field(0.5, ge=0, le=1)  # probability of a horizontal mirror image
    photometric: bool = False  # random brightness, contrast, saturation and hue
    # Where the two zoos' redrawing of crops, padding of small images and turning of hues differ.
    conventions: Literal["mmsegmentation", "sssegmentation"] = "mmsegmentation"
    padding: Literal["mean", "black"] = "mean"  # colour of what is added to small images
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[Positive, Positive, Positive] = (58.395, 57.12, 57.375)
    # Batch normalisation over all processes. False: each by itself, as many as `bn_parts`.
    sync_bn: bool = True
    bn_parts: int = Field(1, ge=1)  # of the batch that have statistics of their own
    # The same of the backbone alone, as on GPUs where only the heads share theirs; None: as the
    # heads. Running statistics are the first part's: DDP in mmsegmentation leaves buffers alone
    # (broadcast_buffers=False), and the first process saves its own.
    backbone_bn_parts: int | None = Field(None, ge=1)
    precision: Literal["fp32", "amp"] = "fp32"  # amp: autocast where the device has it
    loss_scale: float | None = Field(None, gt=0)  # with amp: a fixed factor; None: found by itself
    loss_average: Literal["labelled", "all"] = "labelled"  # pixels that the loss is divided by
    # Parts of a batch that average their loss by themselves, as GPUs do; the loss is their mean.
    loss_parts: int = Field(1, ge=1)
    ohem: OHEMConfig | None = None
    # Constants of the update (dmnet/training/step.py) ...
    nesterov: Literal[False] = False
    head_lr_factor: Literal[1] = 1  # times the backbone's: one learning rate for all layers
    weight_decay_on: Literal["all"] = "all"  # parameters, batch normalisation's and biases included
    gradient_clipping: Literal["none"] = "none"
    frozen: Literal["none"] = "none"  # of the layers; statistics of batch normalisation neither
    kept: Literal["last"] = "last"  # the last iteration's weights, not the best in validation
    # ... of the loss (dmnet/losses.py) ...
    loss: Literal["cross_entropy"] = "cross_entropy"  # all classes weigh the same
    loss_size: Literal["labels"] = "labels"  # that the scores are resized to, not the reverse
    # ... and of the samples (dmnet/data/dataset.py, augment.py, crop.py).
    sampling: Literal["shuffled epochs"] = "shuffled epochs"  # end to end: a batch may be in two
    scale_drawn: Literal["uniform"] = "uniform"  # from `scale_range`, one for both sides
    interpolation: Literal["bilinear"] = "bilinear"  # of photographs: OpenCV, no antialiasing
    label_interpolation: Literal["nearest"] = "nearest"
    size_rounding: Literal["half up"] = "half up"
    crop_position: Literal["uniform"] = "uniform"  # among those within the photograph
    further_augmentation: Literal["none"] = "none"  # such as blur or rotation

    @model_validator(mode="after")
    def _ranges(self) -> RecipeConfig:
        low, high = self.scale_range
        if not 0 < low <= high:
            raise ValueError("scale_range must be [low, high] with 0 < low <= high")
        parts = {
            "bn_parts": self.bn_parts,
            "backbone_bn_parts": self.backbone_bn_parts,
            "ohem.parts": None if self.ohem is None else self.ohem.parts,
            "loss_parts": self.loss_parts,
        }
        for name, count in parts.items():
            if count is not None and self.batch_size % count:
                raise ValueError(f"batch_size must be a multiple of {name} ({count})")
        if self.loss_parts > 1 and self.loss_average == "all":
            raise ValueError(
                "loss_parts: parts of a batch have equally many pixels, so with loss_average `all` "
                "it changes nothing; leave it out"
            )
        return self
