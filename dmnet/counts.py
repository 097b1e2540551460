"""What a multi-scale module costs: parameters and multiply-accumulates, by PyTorch's own formulas.

Counted are the branches that a head is trained with, without backbone, 3x3 bottleneck and
classifier (Table 3 of the paper), on tensors of the meta device, which take no memory. One
multiply-accumulate is two FLOPs of theirs; they count convolutions, not normalisation,
activation or pooling.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dmnet.backbones import build_backbone
from dmnet.config import CountConfig, content_hash
from dmnet.errors import ConfigError
from dmnet.heads import build_head
from dmnet.heads.multi_branch import MultiBranchHead
from dmnet.private.counting import CountFlops
from dmnet.provenance import code_begun, code_ended


def count(config: CountConfig) -> dict[str, Any]:
    """JSON-ready: `convolution_weights` (no bias), `parameters` (all of them), `macs`, of which
    configuration, by which code. Raises ConfigError for a head without branches."""
    code = code_begun(package=True)
    with torch.device("meta"):
        backbone = build_backbone(config.model.backbone).eval()
        head = build_head(config.model.head, backbone.channels, classes=2).eval()
        if not isinstance(head, MultiBranchHead):
            raise ConfigError(f"head {config.model.head.name!r} has no branches to count")
        features = backbone(torch.empty(1, 3, *config.input_size))
        x, context = features[-1], features[head.context_stage - 2]
        with CountFlops() as counter:
            for branch in head.branches:
                branch(x, context)
    convolutions = [m for m in head.branches.modules() if isinstance(m, nn.Conv2d)]
    return {
        "profile": content_hash(config)[:16],
        "config": config.model_dump(mode="json"),
        "convolution_weights": sum(conv.weight.numel() for conv in convolutions),
        "parameters": sum(parameter.numel() for parameter in head.branches.parameters()),
        "macs": counter.flops // 2,
        "code": code_ended(code),
    }
