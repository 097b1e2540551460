"""Layers that see the whole batch while each process computes a piece of it.

`share_layers` puts them in the place of a model's own; names and parameters stay. Batch
normalisation takes its statistics over all processes, dropout draws for the whole batch and uses
its piece, so that the number of processes changes a weight by rounding only.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

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


class SharedDropout(nn.Dropout2d):
    """Dropout of channels, drawn for `batch` images, of which its input is from `start` on."""

    batch, start = 0, 0

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        drawn = input.new_empty(self.batch, input.shape[1], 1, 1).bernoulli_(1 - self.p)
        return input * drawn.div_(1 - self.p)[self.start : self.start + len(input)]


def share_layers(model: nn.Module, sync_bn: bool, device: torch.device, share: Share) -> nn.Module:
    """The model with its layers replaced, in place; as it is where nothing is shared."""
    if share.pieces == 1:
        return model
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Dropout2d):
                setattr(module, name, SharedDropout(child.p))
            elif share.processes > 1 and sync_bn and isinstance(child, nn.BatchNorm2d):
                setattr(module, name, _shared_norm(child, device))
    return model


def _shared_norm(layer: nn.BatchNorm2d, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
        return converted
    shared = SharedBatchNorm(layer.num_features, layer.eps, layer.momentum)
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        setattr(shared, name, getattr(layer, name))
    shared.train(layer.training)
    return shared


def set_piece(model: nn.Module, batch: int, start: int) -> None:
    """Tell the layers that the next input is a batch's images from `start` on."""
    for module in model.modules():
        if isinstance(module, SharedDropout):
            module.batch, module.start = batch, start
