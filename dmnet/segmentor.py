"""Backbone, head and (while training) the auxiliary head of deep supervision."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from dmnet.backbones import build_backbone
from dmnet.config import ModelConfig
from dmnet.heads import build_head


class Logits(NamedTuple):
    """Scores at the heads' own resolution: (n, classes, h / output stride, w / output stride)."""

    main: Tensor
    auxiliary: Tensor | None


class Segmentor(nn.Module):
    """Forward: normalised images (n, 3, h, w) -> Logits; the auxiliary ones in training only."""

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone)
        channels = self.backbone.channels
        self.head = build_head(config.head, channels, classes)
        self.auxiliary: nn.Module | None = None
        if config.auxiliary is not None:
            visible = channels[: config.auxiliary.stage - 1]
            self.auxiliary = build_head(config.auxiliary.head, visible, classes)

    def forward(self, images: Tensor) -> Logits:
        features = self.backbone(images)
        auxiliary = None
        if self.auxiliary is not None and self.training:
            assert self.config.auxiliary is not None
            auxiliary = self.auxiliary(features[: self.config.auxiliary.stage - 1])
        return Logits(self.head(features), auxiliary)
