"""Cost of a model, counted by PyTorch's own counter on tensors that take no memory."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from dmnet.config import ModelConfig
from dmnet.segmentor import Segmentor


def forward_flops(model: ModelConfig, classes: int, height: int, width: int) -> int:
    """FLOPs (2 per multiply-accumulate) of convolutions and matrix products for one image.

    The auxiliary head, which only training runs, is included.
    """
    with torch.device("meta"):
        network = Segmentor(model, classes).train()
        # Two images: batch normalisation over a single 1x1 map is refused in training mode.
        image = torch.empty(2, 3, height, width)
        with FlopCounterMode(display=False) as counter:
            network(image)
    return int(counter.get_total_flops()) // 2
