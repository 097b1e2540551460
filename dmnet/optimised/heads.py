"""The multi-branch heads with fewer passes over memory.

Stage 5 is read once for all branches: their 1x1 reductions become one convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.heads.dmnet import DynamicConvolutionalModule
from dmnet.layers import same_padding
from dmnet.optimised.conv import FusedConv, concatenated, folded, scale_and_shift


class MergedHead(nn.Module):
    """Forward: features of stages 2 to 5 -> logits, as `MultiBranchHead`'s.

    branches: what each does after its reduction, from (n, c, h, w) and the context.
    """

    def __init__(
        self,
        reduction: FusedConv,
        branches: Sequence[nn.Module],
        bottleneck: nn.Module,
        classifier: FusedConv,
        context_stage: int,
    ) -> None:
        super().__init__()
        self.reduction, self.branches = reduction, nn.ModuleList(branches)
        self.bottleneck, self.classifier = bottleneck, classifier
        self.context_stage = context_stage

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x, context = features[-1], features[self.context_stage - 2]
        reduced = self.reduction(x).chunk(len(self.branches), dim=1)
        scales = [
            branch(part, context) for branch, part in zip(self.branches, reduced, strict=True)
        ]
        logits: Tensor = self.classifier(self.bottleneck(concatenated([x, *scales])))
        return logits


class FixedFilters(nn.Module):
    """A branch of `FixedFilterBranch` after its reduction; the context is not looked at."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, reduced: Tensor, context: Tensor) -> Tensor:
        y: Tensor = self.layers(reduced)
        return y


class DynamicFilters(nn.Module):
    """A `DynamicConvolutionalModule` after its reduction.

    BN after the dynamic convolution scales each channel, which the filters can carry as they come
    from their generator, and shifts it, which is a bias of the dynamic convolution.
    """

    weight: Tensor
    bias: Tensor
    shift: Tensor

    def __init__(self, module: DynamicConvolutionalModule, fusion: nn.Module) -> None:
        super().__init__()
        weight, bias = folded(module.filter_generator, None)
        scale, shift = scale_and_shift(module.bn)
        self.register_buffer("weight", (weight * scale[:, None, None, None]).float())
        self.register_buffer("bias", (bias * scale).float())
        self.register_buffer("shift", shift.float())
        self.kernel_size, self.fusion = module.kernel_size, fusion

    def forward(self, reduced: Tensor, context: Tensor) -> Tensor:
        n, c, h, w = reduced.shape
        k = self.kernel_size
        filters = F.conv2d(F.adaptive_avg_pool2d(context, k), self.weight, self.bias)
        # Channels stay innermost where one image goes through; of several they have to move.
        x = reduced if n == 1 else reduced.reshape(1, n * c, h, w)
        x = x if k % 2 else F.pad(x, same_padding(k))
        y = F.conv2d(
            x,
            filters.reshape(n * c, 1, k, k),
            self.shift.repeat(n),
            padding=k // 2 if k % 2 else 0,
            groups=n * c,
        )
        y = self.fusion(y.reshape(n, c, h, w).relu_())
        return y
