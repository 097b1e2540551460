"""`execution.deterministic: true`: a GPU that computes the same bits again.

By itself it does not: some kernels add up gradients in the order in which they come, and cuDNN's
algorithms are chosen by how fast they were this time. On one GPU of one kind, with one version of
everything, runs of the same key then have the same weights, interrupted or not. Of several
processes that depends on NCCL, too, which keeps to an order but does not promise it.

It costs time: cuDNN chooses among fewer algorithms and tries none, resizing and pooling are
products of matrices (dmnet/fixed_order.py), indices are sorted; and about 24 MiB for cuBLAS. A CPU
computes the same bits anyway, and there nothing changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dmnet.errors import RunError

WORKSPACE, IN_ORDER = "CUBLAS_WORKSPACE_CONFIG", (":4096:8", ":16:8")


@contextmanager
def same_bits(wanted: bool, device: torch.device) -> Iterator[None]:
    """Inside, an operation that has no fixed order on a GPU is PyTorch's RuntimeError.

    Raises RunError where the environment tells cuBLAS otherwise. To be entered before the process
    multiplies its first matrices on the GPU: cuBLAS looks at the environment once.
    """
    if not wanted or device.type != "cuda":
        yield
        return
    workspace = os.environ.setdefault(WORKSPACE, IN_ORDER[0])
    if workspace not in IN_ORDER:
        raise RunError(
            f"{WORKSPACE}: {workspace!r} in the environment, but `execution.deterministic` needs "
            f"{' or '.join(IN_ORDER)}; unset it"
        )
    cudnn = torch.backends.cudnn
    memory: Any = torch.utils.deterministic  # PyTorch's types do not know what it has
    before = torch.are_deterministic_algorithms_enabled()
    settings = cudnn.deterministic, memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    cudnn.deterministic, memory.fill_uninitialized_memory = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        cudnn.deterministic, memory.fill_uninitialized_memory = settings
