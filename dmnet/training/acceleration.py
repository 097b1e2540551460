"""What makes a training step on a GPU faster; what it computes differs by rounding alone.

`execution.accelerated: false` switches it off.

- channels lie innermost, as tensor cores read them; else cuDNN rearranges every map before and
  after its convolutions (on a CPU that is slower);
- one kernel updates all parameters, and reads there, not on the host, whether mixed precision has
  to leave the update out;
- cuDNN tries its algorithms for each convolution in the first step and keeps the fastest, as in
  mmsegmentation's configurations (`cudnn_benchmark`), as batches have one size. Validations, whose
  images differ in size, do without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch


class Acceleration(NamedTuple):
    channels_last: bool = False
    fused_update: bool = False
    tried_convolutions: bool = False

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


PLAIN = Acceleration()


def acceleration_on(device: torch.device, deterministic: bool = False) -> Acceleration:
    """deterministic: what is fastest is not tried, as it may be another algorithm next time."""
    on_gpu = device.type == "cuda"
    return Acceleration(on_gpu, on_gpu, on_gpu and not deterministic)


@contextmanager
def algorithms_tried(on: bool) -> Iterator[None]:
    """Whether cuDNN tries the algorithms of convolutions that it meets for the first time."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or on
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
