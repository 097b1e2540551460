"""Heads: feature maps -> logits. A new head is one file, one schema in config, one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from dmnet.heads.aspp import ASPPHead
from dmnet.heads.dmnet import DMNetHead
from dmnet.heads.fcn import FCNHead
from dmnet.heads.fixed_filters import DilatedHead, MultiKernelHead

HEADS: dict[str, Callable[[Any, Sequence[int], int], nn.Module]] = {
    "dmnet": DMNetHead,
    "multi_kernel": MultiKernelHead,
    "dilated": DilatedHead,
    "fcn": FCNHead,
    "aspp": ASPPHead,
}


def build_head(config: Any, in_channels: Sequence[int], classes: int) -> nn.Module:
    """`config` is one of the members of `dmnet.config.HeadConfig`; its `name` picks the class.

    in_channels: channels of the feature maps that the head will be given, in order.
    """
    return HEADS[config.name](config, in_channels, classes)
