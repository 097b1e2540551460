"""Backbones: image -> feature maps, the last of which a head works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dmnet.backbones.bisenetv2 import BiSeNetV2
from dmnet.backbones.resnet import ResNet
from dmnet.config import BackboneConfig

BACKBONES: dict[str, Callable[[Any], Any]] = {"resnet": ResNet, "bisenetv2": BiSeNetV2}


def build_backbone(config: BackboneConfig) -> Any:
    """A module with `channels`, those of the feature maps that it returns, in order."""
    return BACKBONES[config.name](config)
