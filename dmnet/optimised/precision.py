"""In which precision an optimised model computes: the one asked for, where its device has it."""

from __future__ import annotations

import logging
from functools import cache
from typing import Literal

import torch

log = logging.getLogger(__name__)

NO_BF16 = "this processor has no convolutions in bfloat16 (oneDNN's need AVX-512 or AVX-NE-CONVERT)"
Precision = Literal["fp32", "bf16"]
TYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def precision_on(device: torch.device, asked: Precision) -> Precision:
    """`asked`, or "fp32" and a line that says so where convolutions in bfloat16 are not there.

    PyTorch has others in bfloat16 for any processor, but they take longer than in float32 and
    round more.
    """
    if asked == "bf16" and not has_bf16(device):
        log.warning("%s: the optimised model computes in float32", NO_BF16)
        return "fp32"
    return asked


def has_bf16(device: torch.device) -> bool:
    """Whether a model in bfloat16 is worth having on `device`: on a CPU oneDNN must take it."""
    return device.type != "cpu" or onednn_takes_bf16()


@cache
def onednn_takes_bf16() -> bool:
    """Tried, with the operation that would refuse it.

    The processor's own list does not tell: oneDNN may be held to fewer instructions
    (ONEDNN_MAX_CPU_ISA), or not be there.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    weight, once = torch.zeros(16, 16, 1, 1, dtype=torch.bfloat16), [1, 1]
    try:
        torch.ops.mkldnn._reorder_convolution_weight(weight, [0, 0], once, once, 1, [1, 16, 1, 1])
    except RuntimeError:
        return False
    return True
