"""Backbones: image -> feature maps of stages 2 to 5."""

from __future__ import annotations

from dmnet.backbones.resnet import ResNet
from dmnet.config import ResNetConfig

BACKBONES = {"resnet": ResNet}


def build_backbone(config: ResNetConfig) -> ResNet:
    return BACKBONES[config.name](config)
