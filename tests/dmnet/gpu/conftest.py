"""The GPU that these tests compute on, and how exactly. In a rehearsal it is the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch

from dmnet.training.determinism import IN_ORDER, WORKSPACE

Tf32 = Callable[[bool], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def gpu(request: pytest.FixtureRequest) -> torch.device:
    if request.config.getoption("--rehearsal"):
        return torch.device("cpu")
    os.environ.setdefault(WORKSPACE, IN_ORDER[0])  # cuBLAS looks once, whichever test is first
    assert torch.cuda.is_available(), "needs a GPU: make test-gpu"
    return torch.device("cuda")


@pytest.fixture
def tf32() -> Iterator[Tf32]:
    """`with tf32(on):` whether convolutions and products round to TF32; off outside of it."""
    cublas, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = cublas.allow_tf32, cudnn.allow_tf32

    @contextmanager
    def switched(on: bool) -> Iterator[None]:
        cublas.allow_tf32 = cudnn.allow_tf32 = on
        try:
            yield
        finally:
            cublas.allow_tf32 = cudnn.allow_tf32 = False

    cublas.allow_tf32 = cudnn.allow_tf32 = False
    yield switched
    cublas.allow_tf32, cudnn.allow_tf32 = before
