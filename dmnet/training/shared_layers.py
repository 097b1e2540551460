"""Layers that see as much of the batch as the recipe says, while a process computes a piece of it.

`share_layers` puts them in the place of a model's own; names and parameters stay. Batch
normalisation takes its statistics over all processes, or in the backbone over each of the parts
that the recipe names; dropout draws for the whole batch and uses its piece. So the number of
processes changes a weight by rounding only.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.config import RecipeConfig
from dmnet.segmentor import Segmentor
from dmnet.training.share import Share


class _Normalise(torch.autograd.Function):
    """Batch normalisation over all processes, each with the same number of images."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (n, c, h, w) -> normalised x, mean (c), biased variance (c)."""
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = x.sum((0, 2, 3))
        dist.all_reduce(mean)
        mean /= count
        centred = x - mean[:, None, None]
        variance = centred.square().sum((0, 2, 3))
        dist.all_reduce(variance)
        variance /= count
        scale = (variance + eps).rsqrt()
        normalised = centred * scale[:, None, None]
        ctx.save_for_backward(normalised, weight, scale)
        ctx.count = count
        ctx.mark_non_differentiable(mean, variance)
        return normalised * weight[:, None, None] + bias[:, None, None], mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        normalised, weight, scale = ctx.saved_tensors
        of_bias = gradient.sum((0, 2, 3))
        of_weight = (gradient * normalised).sum((0, 2, 3))
        sums = torch.stack([of_bias, of_weight])
        dist.all_reduce(sums)
        mean, slope = (sums / ctx.count)[:, :, None, None]
        of_x = (gradient - mean - normalised * slope) * (weight * scale)[:, None, None]
        return of_x, of_weight, of_bias, None


class SharedBatchNorm(nn.BatchNorm2d):
    """PyTorch's SyncBatchNorm for the CPU, which PyTorch's refuses. Float32, with a momentum."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        y, mean, variance = _Normalise.apply(input, self.weight, self.bias, self.eps)
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        count = input.numel() // input.shape[1] * dist.get_world_size()
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return y


class PartedBatchNorm(nn.BatchNorm2d):
    """Normalises each of its input's `parts` by itself, as GPUs that share no statistics do.

    `start`: of the input's first image in the batch. The running statistics are those of the
    batch's first part, as the first GPU's are in the checkpoint that it saves.
    """

    parts, start = 1, 0

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        first, *others = input.chunk(self.parts)
        normalised = [super().forward(first) if self.start == 0 else self._untold(first)]
        normalised += [self._untold(part) for part in others]
        return normalised[0] if len(normalised) == 1 else torch.cat(normalised)

    def _untold(self, part: Tensor) -> Tensor:
        """Without a trace in the running statistics."""
        return F.batch_norm(part, None, None, self.weight, self.bias, True, 0.0, self.eps)


class SharedDropout(nn.Dropout2d):
    """Dropout of channels, drawn for `batch` images, of which its input is from `start` on."""

    batch, start = 0, 0

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        drawn = input.new_empty(self.batch, input.shape[1], 1, 1).bernoulli_(1 - self.p)
        return input * drawn.div_(1 - self.p)[self.start : self.start + len(input)]


def share_layers(
    model: Segmentor, recipe: RecipeConfig, device: torch.device, share: Share
) -> Segmentor:
    """The model with its layers replaced, in place; as it is where nothing is shared or parted."""
    if recipe.backbone_bn_parts is not None:
        for module, name, norm in _children(model.backbone, nn.BatchNorm2d):
            parted = _like(norm, PartedBatchNorm)
            parted.parts = recipe.backbone_bn_parts // share.pieces
            setattr(module, name, parted)
    if share.pieces > 1:
        for module, name, dropout in _children(model, nn.Dropout2d):
            setattr(module, name, SharedDropout(dropout.p))
    if share.processes > 1 and recipe.sync_bn:
        for module, name, norm in _children(model, nn.BatchNorm2d):
            if not isinstance(norm, PartedBatchNorm):
                shared = (
                    nn.SyncBatchNorm.convert_sync_batchnorm(norm)
                    if device.type == "cuda"
                    else _like(norm, SharedBatchNorm)
                )
                setattr(module, name, shared)
    return model


Layer = TypeVar("Layer", bound=nn.Module)
Norm = TypeVar("Norm", bound=nn.BatchNorm2d)


def _children(model: nn.Module, kind: type[Layer]) -> list[tuple[nn.Module, str, Layer]]:
    """(module that has it, name there, layer) of every layer of a kind."""
    return [
        (module, name, child)
        for module in model.modules()
        for name, child in module.named_children()
        if isinstance(child, kind)
    ]


def _like(layer: nn.BatchNorm2d, kind: type[Norm]) -> Norm:
    """A layer of another kind with this one's parameters and buffers themselves."""
    other = kind(layer.num_features, layer.eps, layer.momentum)
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        setattr(other, name, getattr(layer, name))
    other.train(layer.training)
    return other


def set_piece(model: nn.Module, batch: int, start: int) -> None:
    """Tell the layers that the next input is a batch's images from `start` on."""
    for module in model.modules():
        if isinstance(module, SharedDropout):
            module.batch, module.start = batch, start
        elif isinstance(module, PartedBatchNorm):
            module.start = start
