"""One side of the benchmark: reads requests from stdin, answers on stdout, a JSON line each.

    {"do": "machine"}                                 -> torch, device, threads
    {"do": "start", "case": {...}, "folder": "..."}   -> {}
    {"do": "outputs", "file": "..."}                  -> {}; what the sides must agree on
    {"do": "measure"}       -> seconds, cpu_seconds and peak_bytes (or null) of one run

A failure is answered with {"error": "..."}. Whatever else is printed goes to stderr.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from bench.cases import ON_DISK, Case

WEIGHTS_SEED, INPUT_SEED = 0, 1
# The rows' optimizer, with a learning rate at which untrained weights do not diverge.
SGD = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-4}


class Job(Protocol):
    """What a case asks of one side."""

    def outputs(self) -> dict[str, Tensor]:
        """What both sides must agree on. Asked once, before anything is measured."""

    def run(self) -> None:
        """What is measured. Called many times."""


Make = Callable[[Case, Path, torch.device], Job]


def serve(make: Make) -> None:
    """Answer until stdin ends. `make` gets the folder that the two sides share for the weights."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    job: Job | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            match request["do"]:
                case "machine":
                    answer = machine(device)
                case "start":
                    job = None  # its memory is free before the next one takes its own
                    give_back_memory()
                    asked = Case(**request["case"])
                    job = make(asked, Path(request["folder"]), device)
                case "outputs" if job is not None:
                    configure(device, exact=True)
                    outputs = {key: value.cpu() for key, value in job.outputs().items()}
                    torch.save(outputs, request["file"])
                case "measure" if job is not None:
                    configure(device, exact=False)
                    answer = measure(job, device)
                case other:
                    raise ValueError(f"cannot {other!r} now; `start` comes first")
        except Exception as error:  # whatever it is, the parent is to be told
            traceback.print_exc()
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        print(json.dumps(answer), file=answers)


def configure(device: torch.device, exact: bool) -> None:
    """Both sides alike. exact: in full float32, to compare what they compute. Else as their users
    get it: on a GPU PyTorch's convolutions in float32 compute in TF32, by the fastest algorithm.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = not exact
    torch.backends.cudnn.benchmark = device.type == "cuda" and not exact


def machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    threads = torch.get_num_threads()
    return {"torch": torch.__version__, "device": name, "threads": threads}


def measure(job: Job, device: torch.device) -> dict[str, Any]:
    """One run, on a GPU until it has finished: how long it took, and how long cores worked."""
    synchronise(device)
    restart_peak(device)
    started, worked = time.perf_counter(), time.process_time()
    job.run()
    synchronise(device)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - worked,
        "peak_bytes": peak(device),
    }


def give_back_memory() -> None:
    """Free what the allocators keep of an earlier job: the next job's peak must not count it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc


def restart_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # of VmHWM; see proc(5)


def peak(device: torch.device) -> int | None:
    """Bytes since `restart_peak`: on a GPU what PyTorch allocated, else what the process occupied;
    None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) * 1024 if match else None


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def images(case: Case, device: torch.device) -> Tensor:
    """Normalised images: the same noise on both sides."""
    generator = torch.Generator().manual_seed(INPUT_SEED)
    return torch.randn(case.batch, 3, case.height, case.width, generator=generator).to(device)


def labels(case: Case, classes: int, device: torch.device) -> Tensor:
    """(batch, height, width) in squares of 32 pixels, none of them ignored."""
    generator = torch.Generator().manual_seed(INPUT_SEED)
    shape = (case.batch, -(-case.height // 32), -(-case.width // 32))
    squares = torch.randint(classes, shape, generator=generator)
    pixels = squares.repeat_interleave(32, 1).repeat_interleave(32, 2)
    return pixels[:, : case.height, : case.width].contiguous().to(device)


def picture(height: int, width: int, seed: int = INPUT_SEED) -> np.ndarray:
    """(height, width, 3) uint8, RGB: smooth colours and some noise, as large as PNG as a
    photograph of that size."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 32, width // 32, 3), np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(smooth, np.float32) + rng.normal(0, 2, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def write_photographs(folder: Path, count: int, classes: int) -> list[tuple[Path, Path]]:
    """Pairs of PNG files, photograph and label; whoever comes second finds them there."""
    height, width = ON_DISK
    pairs = []
    for number in range(count):
        image, label = folder / f"{number}.png", folder / f"{number}_label.png"
        pairs.append((image, label))
        if image.exists():
            continue
        Image.fromarray(picture(height, width, number)).save(image)
        case = Case("", "data", 1, height, width)
        pixels = labels(case, classes, torch.device("cpu"))[0]
        Image.fromarray(pixels.numpy().astype(np.uint8)).save(label)
    return pairs


def spread_normalisation(model: nn.Module) -> None:
    """Statistics and scales other than 0 and 1, so that a parameter in a wrong place shows."""
    generator = torch.Generator().manual_seed(WEIGHTS_SEED)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                for tensor in (module.weight, module.running_var):
                    assert isinstance(tensor, Tensor)
                    tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
                for tensor in (module.bias, module.running_mean):
                    assert isinstance(tensor, Tensor)
                    tensor.copy_(torch.randn(tensor.shape, generator=generator) / 10)


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """The sides draw other random numbers, so their losses agree only while nothing is dropped."""
    rates = {m: m.p for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)}
    for module in rates:
        module.p = 0.0
    yield
    for module, rate in rates.items():
        module.p = rate
