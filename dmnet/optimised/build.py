"""From a trained `Segmentor` to its optimised form: which module is replaced by what."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from dmnet.backbones.bisenetv2 import GatherExpansion
from dmnet.backbones.resnet import Bottleneck, ResNet
from dmnet.heads.dmnet import DynamicConvolutionalModule
from dmnet.heads.fixed_filters import FixedFilterBranch
from dmnet.heads.multi_branch import MultiBranchHead
from dmnet.optimised.conv import FusedConv, FusedResidual, Weights, folded
from dmnet.optimised.heads import DynamicFilters, FixedFilters, MergedHead
from dmnet.optimised.transforms import fits
from dmnet.optimised.winograd import WinogradConv
from dmnet.segmentor import Segmentor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """winograd_from: channels from which on convolutions are Winograd's (on a CPU).

    precision: "bf16" computes in bfloat16 on a GPU and changes predictions; no evaluation does, and
    `make bench` measures it. A CPU computes in float32.
    """

    winograd_from: int = 128  # with fewer the transforms cost what they save
    precision: Literal["fp32", "bf16"] = "fp32"


@torch.no_grad()
def optimised(model: Segmentor, options: Options | None = None) -> Segmentor:
    """The same function in evaluation mode, faster; `model` is left as it is.

    Its logits, (n, classes, h', w') float32 like the model's, differ by rounding, and are as far
    from those of float64 as the model's own. It has no auxiliary heads, no parameters and no
    gradients: for inference only, on the device that `model` is on.
    """
    options = options or Options()
    result = copy.deepcopy(model).eval()
    result.auxiliary = nn.ModuleDict()
    Build(options.winograd_from).replace_children(result)
    if options.precision == "bf16":
        _in_bfloat16(result)
    return result.requires_grad_(False)


def _in_bfloat16(model: Segmentor) -> None:
    """Images and logits stay in float32."""
    if next(model.buffers()).device.type == "cpu":
        log.warning("bf16 is for GPUs: on a CPU the optimised model computes in float32")
        return
    model.to(torch.bfloat16)
    model.register_forward_pre_hook(lambda _, images: (images[0].bfloat16(),))
    model.register_forward_hook(lambda _, __, found: found._replace(main=found.main.float()))


@dataclass(frozen=True)
class Build:
    winograd_from: int

    def replace_children(self, module: nn.Module) -> None:
        """Put the optimised form of every part below `module` into its place."""
        for name, child in list(module.named_children()):
            setattr(module, name, self.replaced(child))

    def replaced(self, module: nn.Module) -> nn.Module:
        """The optimised form of `module`, which is used up."""
        match module:
            case nn.Conv2d():
                return self.conv(folded(module, None), module)
            case nn.Sequential():
                return self.sequence(module.children())
            case Bottleneck():
                return self.bottleneck(module)
            case GatherExpansion():
                return self.gather_expansion(module)
            case MultiBranchHead():
                return self.multi_branch(module)
            case ResNet():
                stem = module.conv1
                layers = stem.children() if isinstance(stem, nn.Sequential) else [stem]
                module.conv1 = self.sequence([*layers, module.bn1, module.relu])
                for name in ("bn1", "relu"):
                    setattr(module, name, nn.Identity())
        self.replace_children(module)
        return module

    def sequence(self, layers: Iterable[nn.Module]) -> nn.Sequential:
        """[padding] convolution [batch normalisation] [ReLU], wherever they follow each other."""
        rest, done = list(layers), []
        while rest:
            layer = rest.pop(0)
            before = None
            if isinstance(layer, nn.ZeroPad2d) and isinstance(rest[0], nn.Conv2d):
                before, layer = layer.padding, rest.pop(0)
            if isinstance(layer, nn.Conv2d):
                bn = rest.pop(0) if rest and isinstance(rest[0], nn.BatchNorm2d) else None
                assert bn is None or isinstance(bn, nn.BatchNorm2d)
                relu = bool(rest) and isinstance(rest[0], nn.ReLU)
                if relu:
                    rest.pop(0)
                done.append(self.conv(folded(layer, bn), layer, relu, before))
            else:
                done.append(self.replaced(layer))
        return nn.Sequential(*done)

    def conv(
        self,
        weights: Weights,
        like: nn.Conv2d,
        relu: bool = False,
        before: tuple[int, int, int, int] | None = None,
    ) -> nn.Module:
        wide = min(like.in_channels, like.out_channels) >= self.winograd_from
        if wide and before is None and fits(like) and like.weight.device.type == "cpu":
            return WinogradConv(weights, like, relu)
        return FusedConv(weights, like, relu, before)

    def bottleneck(self, block: Bottleneck) -> FusedResidual:
        """ResNet's: 1x1, 3x3, 1x1, each with BN; ReLU after the sum."""
        body = [block.conv1, block.bn1, block.relu, block.conv2, block.bn2, block.relu]
        last = FusedConv(folded(block.conv3, block.bn3), block.conv3, True)
        shortcut = block.downsample
        return FusedResidual(
            self.sequence(body),
            last,
            nn.Identity() if shortcut is None else self.sequence(shortcut.children()),
        )

    def gather_expansion(self, layer: GatherExpansion) -> FusedResidual:
        conv, bn = layer.project.get_submodule("conv"), layer.project.get_submodule("bn")
        assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
        last = FusedConv(folded(conv, bn), conv, True)
        body = self.sequence([layer.gather, layer.expand])
        return FusedResidual(body, last, self.replaced(layer.shortcut))

    def multi_branch(self, head: MultiBranchHead) -> MergedHead:
        """The reductions in one; see `dmnet.optimised.heads`."""
        first: nn.Conv2d | None = None
        weights, biases = [], []
        branches: list[nn.Module] = []
        for branch in head.branches:
            assert isinstance(branch, DynamicConvolutionalModule | FixedFilterBranch)
            conv, bn = branch.reduction.get_submodule("conv"), branch.reduction.get_submodule("bn")
            assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
            weight, bias = folded(conv, bn)
            first = first or conv
            weights.append(weight)
            biases.append(bias)
            fusion = self.replaced(branch.fusion)
            if isinstance(branch, DynamicConvolutionalModule):
                branches.append(DynamicFilters(branch, fusion))
            else:
                branches.append(FixedFilters(self.sequence([branch.filter, fusion])))
        assert first is not None
        reduction = FusedConv((torch.cat(weights), torch.cat(biases)), first, True)
        (bottleneck,) = self.sequence(head.bottleneck.children())
        classifier = FusedConv(folded(head.classifier, None), head.classifier)
        return MergedHead(reduction, branches, bottleneck, classifier, head.context_stage)
