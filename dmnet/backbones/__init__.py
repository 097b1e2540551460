"""Backbones: image -> feature maps, the last of which a head works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dmnet.backbones.resnet import ResNet
from dmnet.config import BackboneConfig

BACKBONES: dict[str, Callable[[Any], Any]] = {"resnet": ResNet}


def build_backbone(config: BackboneConfig) -> Any:
    """A module with `channels`, those of the feature maps that it returns, in order."""
    return BACKBONES[config.name](config)
