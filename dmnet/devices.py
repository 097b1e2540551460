"""Which device computes, and why not another; copying from the CPU to it.

`execution.device` decides: `cpu`, `cuda`, or `auto`, which is a GPU where one is there. A GPU that
is there and cannot be used is an error in `auto` too: hours on it would be weeks on a CPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from dmnet.config.jobs import Device
from dmnet.errors import DeviceError, RunError
from dmnet.gpus import OLDER, WHEELS, driver, gpus_here, oldest_driver, runs_on
from dmnet.provenance import device_name

CPU = torch.device("cpu")
ON_THE_CPU = "to compute on the CPU, set `execution: {device: cpu}` in the preset"


def pick_device(wanted: Device = "auto", local_rank: int | None = None) -> torch.device:
    """Where this process computes; local_rank: its number among those of this machine, if several.

    Raises DeviceError where `wanted` is not to be had, or a GPU is there and cannot be used.
    """
    if wanted == "cpu":
        return CPU
    if torch.cuda.is_available():
        gpus = torch.cuda.device_count()
        if local_rank is not None and (asked := int(os.environ["LOCAL_WORLD_SIZE"])) > gpus:
            raise DeviceError(
                f"execution.processes: {asked} on this machine, but it has {gpus} GPU(s), one for "
                "each; lower it, or ask for more GPUs"
            )
        if fault := _fault_of(local_rank or 0):
            alone = local_rank is not None
            raise DeviceError(f"execution.device {wanted}: {fault}; {ON_THE_CPU}", not alone)
        return torch.device("cuda") if local_rank is None else torch.device("cuda", local_rank)
    if wanted == "auto" and not gpus_here():
        return CPU
    fault = _why_unavailable() if gpus_here() else "no NVIDIA GPU is here for this process"
    hidden = "" if wanted == "cuda" else ", or give CUDA_VISIBLE_DEVICES= before the command"
    raise DeviceError(f"execution.device {wanted}: {fault}; {ON_THE_CPU}{hidden}")


def in_words(device: torch.device) -> str:
    """For the log: the GPU's name, its driver and PyTorch's CUDA, or the processor and threads."""
    if device.type == "cuda":
        return f"{device_name(device)} ({device}), driver {driver()}, CUDA {torch.version.cuda}"
    return f"CPU ({device_name(device)}), {torch.get_num_threads()} thread(s)"


def device_memory(device: torch.device) -> int | None:
    """Bytes of a GPU; None of the CPU."""
    if device.type != "cuda":
        return None
    return torch.cuda.get_device_properties(device).total_memory


def _fault_of(number: int) -> str | None:
    """What keeps PyTorch from computing on the GPU of this number."""
    name = torch.cuda.get_device_name(number)
    card = "{}.{}".format(*torch.cuda.get_device_capability(number))
    built = _architectures("sm_")
    compiled_there = [own for own in _architectures("compute_") if float(own) <= float(card)]
    if torch.version.cuda and built and not (compiled_there or runs_on(built, card)):
        older = runs_on(WHEELS[OLDER].architectures, card)
        remedy = "install requirements-cu126.lock" if older else "no wheel of this PyTorch has any"
        return (
            f"PyTorch {torch.__version__} has no code for {name} (compute capability {card}; it "
            f"has {', '.join(built)}); {remedy} (docs/gpu.md)"
        )
    try:
        torch.ones(1, device=torch.device("cuda", number)).add(1).cpu()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        return f"{name} does not compute ({reason}); see nvidia-smi whether it is broken or taken"
    return None


def _architectures(kind: str) -> list[str]:
    """Such as "9.0", that this PyTorch has machine code (`sm_`) or PTX (`compute_`) for."""
    targets = [arch.rstrip("af") for arch in torch.cuda.get_arch_list() if arch.startswith(kind)]
    numbers = [arch.removeprefix(kind) for arch in targets]
    return [f"{number[:-1]}.{number[-1]}" for number in numbers]


def _why_unavailable() -> str:
    """A GPU is here, and PyTorch finds none."""
    cuda, own = torch.version.cuda, driver()
    if cuda is None:
        return (
            f"an NVIDIA GPU is here, but PyTorch {torch.__version__} is built without CUDA; "
            "install a wheel with it (docs/gpu.md)"
        )
    needed = oldest_driver(cuda)
    if own is None:
        return f"a GPU is here, but no driver is loaded; install NVIDIA's, {needed} or later"
    if int(own.split(".")[0]) < needed:
        return (
            f"driver {own} is older than {needed}, which PyTorch {torch.__version__} (CUDA {cuda}) "
            "needs; update it, or install requirements-cu126.lock (docs/gpu.md)"
        )
    try:
        torch.cuda.init()
        reason = "no reason given"
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
    return f"a GPU is here, but PyTorch cannot use it ({reason}); see nvidia-smi"


@contextmanager
def out_of_memory_as(line: Callable[[], str]) -> Iterator[None]:
    """Raises RunError with `line()` where PyTorch or Python finds no memory, on any device."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        allocator = "can't allocate memory" in str(error) or "not enough memory" in str(error)
        if not (isinstance(error, torch.OutOfMemoryError | MemoryError) or allocator):
            raise
        raise RunError(line()) from None


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor`, which is on the CPU, on `device`.

    A GPU fetches it when it comes to it, and the program goes on. From memory that may be paged out
    it cannot: then the program waits until all that it had queued is done.
    """
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
