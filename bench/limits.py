"""How fast this machine can be at all, and how much of that a case takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

from bench.cases import MODELS, Case
from dmnet.config import ModelConfig
from dmnet.flops import training_cost

TRIES = 5
BLOCK = 2**28  # bytes that are copied, and read from disk; far beyond a processor's caches


class Limits(NamedTuple):
    """The best of `TRIES` each; of the device that computes, but for the disk."""

    fp32: float  # FLOP/s of large dense products; 2 per multiply-accumulate
    tf32: float | None  # of float32 rounded to TF32, which GPUs have
    bf16: float | None  # of bfloat16, which only GPUs are timed in
    copy: float  # bytes/s read and written
    disk: float | None  # bytes/s of a file that the system does not have in memory; None: unknown


def measure_limits(device: torch.device, threads: int, folder: Path) -> Limits:
    """`folder`: on the disk that is measured; what is written there is removed again."""
    before = torch.get_num_threads()
    cublas, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    allowed = cublas.allow_tf32, cudnn.allow_tf32
    torch.set_num_threads(threads)
    try:
        fp32 = gemm_rate(device, torch.float32)
        tf32 = gemm_rate(device, torch.float32, tf32=True) if device.type == "cuda" else None
        bf16 = gemm_rate(device, torch.bfloat16) if device.type == "cuda" else None
        return Limits(fp32, tf32, bf16, copy_rate(device), disk_rate(folder / "block"))
    finally:
        torch.set_num_threads(before)
        cublas.allow_tf32, cudnn.allow_tf32 = allowed


def gemm_rate(device: torch.device, dtype: torch.dtype, tf32: bool = False) -> float:
    """The best that the libraries reach: a product of two matrices, or a dense convolution, which
    is one, and which is twice as fast on a CPU that MKL does not know.

    On random values: with equal ones fewer transistors switch, and a GPU runs faster than it can.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    images = 16 if device.type == "cuda" else 1
    side = 8192 if device.type == "cuda" else 2048

    def product() -> tuple[float, Callable[[], object]]:
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        return 2 * side**3, lambda: torch.mm(a, b)

    def convolution(channels: int, kernel: int) -> tuple[float, Callable[[], object]]:
        maps, weight = (
            torch.randn(shape, device=device, dtype=dtype).contiguous(
                memory_format=torch.channels_last
            )
            for shape in ((images, channels, 64, 64), (channels, channels, kernel, kernel))
        )
        count = 2 * maps.numel() * channels * kernel**2
        return count, lambda: F.conv2d(maps, weight, padding=kernel // 2)

    with torch.no_grad():
        ways = [product(), convolution(2048, 1), convolution(512, 3)]
        return max(count / fastest(way, device) for count, way in ways)


def copy_rate(device: torch.device) -> float:
    source = torch.randint(256, (BLOCK,), dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * BLOCK / fastest(lambda: target.copy_(source), device)


def disk_rate(file: Path) -> float | None:
    """None also where the disk is full, so that what was measured before is not lost."""
    if not hasattr(os, "posix_fadvise"):
        return None
    try:
        with file.open("wb+", buffering=0) as stream:
            stream.write(os.urandom(BLOCK))
            os.fsync(stream.fileno())

            def read() -> None:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                stream.seek(0)
                while stream.read(2**20):
                    pass

            return stream.tell() / fastest(read, torch.device("cpu"))
    except OSError:
        return None
    finally:
        file.unlink(missing_ok=True)


def fastest(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of the shortest of `TRIES`, after one that is not counted."""
    seconds = []
    for _ in range(TRIES + 1):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def flops(case: Case) -> int | None:
    """Of one run of the case: what its direct convolutions and matrix products take.

    Winograd's multiply less, so a form that uses them may pass the rate of matrix products. None
    where a case is more than a network. A training step has both gradients of each, as many again;
    PyTorch's own counter takes the weights' of a convolution in groups for a dense one.
    """
    training = case.kind.startswith("train_step")
    if not training and not case.kind.startswith("forward"):
        return None
    model = MODELS[case.model]
    config, passes = ModelConfig.model_validate(model.ours), 3
    if not training:
        config, passes = config.model_copy(update={"auxiliary": {}}), 1
    cost = training_cost(config, model.classes, case.height, case.width)
    return passes * case.batch * cost.flops
