"""From the CPU to where a model computes."""

from __future__ import annotations

import torch
from torch import Tensor

CPU = torch.device("cpu")


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor`, which is on the CPU, on `device`.

    A GPU fetches it when it comes to it, and the program goes on. From memory that may be paged out
    it cannot: then the program waits until all that it had queued is done.
    """
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
