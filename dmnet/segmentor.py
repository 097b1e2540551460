"""Backbone, head and (while training) the auxiliary heads of deep supervision."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from dmnet.backbones import build_backbone
from dmnet.config import ModelConfig
from dmnet.heads import build_head
from dmnet.layers import reset_to_torch


class Logits(NamedTuple):
    """Scores at the heads' own resolution: (n, classes, h', w')."""

    main: Tensor
    auxiliary: dict[str, Tensor]  # by the name of the auxiliary head; empty in evaluation


class Segmentor(nn.Module):
    """Forward: normalised images (n, 3, h, w) -> Logits; the auxiliary ones in training only."""

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone)
        channels = self.backbone.channels
        self.head = build_head(config.head, channels, classes)
        self.auxiliary = nn.ModuleDict(
            {
                name: build_head(auxiliary.head, channels[: auxiliary.stage - 1], classes)
                for name, auxiliary in config.auxiliary.items()
            }
        )
        if config.initialisation == "torch":
            reset_to_torch(self)
        elif len(self.auxiliary) > 1:
            # mmsegmentation's initialisation does not reach the classifiers of several auxiliary
            # heads (BiSeNetV2's): they keep PyTorch's own.
            for head in self.auxiliary.values():
                reset_to_torch(head.get_submodule("classifier"))

    def forward(self, images: Tensor) -> Logits:
        features = self.backbone(images)
        auxiliary = {}
        if self.training:
            for name, head in self.auxiliary.items():
                stage = self.config.auxiliary[name].stage
                auxiliary[name] = head(features[: stage - 1])
        return Logits(self.head(features), auxiliary)
