"""Where a number was made: also in which arithmetic."""

from __future__ import annotations

import pytest
import torch

from dmnet.provenance import environment, tf32


@pytest.mark.parametrize(
    ("capability", "convolutions", "products", "found"),
    [
        ((7, 0), True, True, []),  # V100, on which the zoos' rows were measured, has no TF32
        ((9, 0), True, False, ["convolutions"]),  # PyTorch's defaults on a later one
        ((9, 0), True, True, ["convolutions", "products"]),
        ((9, 0), False, False, []),
    ],
)
def test_what_a_gpu_computes_in_tf32(
    capability: tuple[int, int],
    convolutions: bool,
    products: bool,
    found: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    cudnn, cublas = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, cublas.allow_tf32
    cudnn.allow_tf32, cublas.allow_tf32 = convolutions, products
    try:
        assert tf32(torch.device("cuda")) == found
    finally:
        cudnn.allow_tf32, cublas.allow_tf32 = before


def test_a_processor_has_no_tf32() -> None:
    where = environment(torch.device("cpu"))
    assert where["device"]["type"] == "cpu" and where["device"]["tf32"] == []
    assert where["processor"]["instructions"] == torch.backends.cpu.get_cpu_capability()
