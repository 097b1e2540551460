"""From a trained `Segmentor` to its optimised form: which module is replaced by what."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn

from dmnet.backbones.bisenetv2 import GatherExpansion
from dmnet.backbones.resnet import Bottleneck, ResNet
from dmnet.heads.dmnet import DynamicConvolutionalModule
from dmnet.heads.fixed_filters import FixedFilterBranch
from dmnet.heads.multi_branch import MultiBranchHead
from dmnet.optimised.conv import FusedConv, Weights, folded
from dmnet.optimised.heads import DynamicFilters, FixedFilters, MergedHead
from dmnet.optimised.options import Options
from dmnet.optimised.precision import TYPES, precision_on
from dmnet.optimised.residual import FusedResidual
from dmnet.optimised.winograd import WinogradConv
from dmnet.segmentor import Segmentor
from dmnet.winograd.transforms import fits


@torch.no_grad()
def optimised(model: Segmentor, options: Options | None = None) -> Segmentor:
    """The same function in evaluation mode, faster; `model` is left as it is.

    Its logits, (n, classes, h', w') float32 like the model's, round otherwise (bf16: further), and
    are as far from those of float64 as the model's own. Without bfloat16 in the processor that
    precision falls back to float32, and a warning says so. It has no auxiliary heads, no parameters
    and no gradients: for inference only, on the device that `model` is on.
    """
    options = options or Options()
    device = next(model.parameters()).device
    dtype = TYPES[precision_on(device, options.precision)]
    result = copy.deepcopy(model).eval()
    result.auxiliary = nn.ModuleDict()
    Build(options, dtype).replace_children(result)
    classifier = result.head.get_submodule("classifier")
    assert isinstance(classifier, FusedConv)
    classifier.output = torch.float32
    return result.to(dtype).requires_grad_(False)


class Build:
    def __init__(self, options: Options, dtype: torch.dtype) -> None:
        self.options, self.dtype = options, dtype

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
            case MultiBranchHead() if self.options.merge:
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
        least = self.options.winograd_from
        narrowest = min(like.in_channels, like.out_channels)
        wide = least is not None and narrowest >= least
        if wide and before is None and fits(like) and like.weight.device.type == "cpu":
            return WinogradConv(weights, like, relu, self.options.kernels, self.dtype)
        return FusedConv(weights, like, relu, before, self.dtype)

    def bottleneck(self, block: Bottleneck) -> FusedResidual:
        """ResNet's: 1x1, 3x3, 1x1, each with BN; ReLU after the sum."""
        body = [block.conv1, block.bn1, block.relu, block.conv2, block.bn2, block.relu]
        last = FusedConv(folded(block.conv3, block.bn3), block.conv3, True, dtype=self.dtype)
        shortcut = block.downsample
        return FusedResidual(
            self.sequence(body),
            last,
            nn.Identity() if shortcut is None else self.sequence(shortcut.children()),
        )

    def gather_expansion(self, layer: GatherExpansion) -> FusedResidual:
        conv, bn = layer.project.get_submodule("conv"), layer.project.get_submodule("bn")
        assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
        last = FusedConv(folded(conv, bn), conv, True, dtype=self.dtype)
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
                branches.append(DynamicFilters(branch, fusion, self.dtype))
            else:
                branches.append(FixedFilters(self.sequence([branch.filter, fusion])))
        assert first is not None
        reduction = FusedConv(
            (torch.cat(weights), torch.cat(biases)), first, True, dtype=self.dtype
        )
        (bottleneck,) = self.sequence(head.bottleneck.children())
        classifier = FusedConv(folded(head.classifier, None), head.classifier, dtype=self.dtype)
        return MergedHead(reduction, branches, bottleneck, classifier, head.context_stage)
