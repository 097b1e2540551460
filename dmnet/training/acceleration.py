"""What makes a training step faster on a GPU without a calculation less: layout and optimizer.

`execution.accelerated: false` switches it off. It is for GPUs alone: on a CPU it works, is slower,
and rounds otherwise than the runs whose weights are known bit for bit.

- Channels lie innermost, as tensor cores read them; else cuDNN rearranges every map before and
  after its convolutions.
- One kernel updates all parameters, and reads there, not on the host, whether mixed precision has
  to leave the update out.
"""

from __future__ import annotations

from typing import Any

import torch

from dmnet.config import ExecutionConfig

KERNELS = ("fused", "foreach")  # PyTorch's settings of an optimizer that say how, not what


def is_accelerated(execution: ExecutionConfig, device: torch.device) -> bool:
    return execution.accelerated and device.type == "cuda"


def memory_layout(accelerated: bool) -> torch.memory_format:
    return torch.channels_last if accelerated else torch.contiguous_format


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """The momentum of `state` in the layout of this run's parameters, by this run's kernel.

    An attempt may go on on another device than the one before.
    """
    kernels = [{name: group[name] for name in KERNELS} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, kernels, strict=True):
        group.update(own)
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter).copy_(value)
