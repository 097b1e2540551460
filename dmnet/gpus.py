"""NVIDIA's GPUs of this machine, asked without PyTorch; what PyTorch's wheels need of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

DEV, DRIVER = Path("/dev"), Path("/proc/driver/nvidia/version")
SECONDS = 20.0  # that nvidia-smi may take: a sleeping card answers slowly


@dataclass(frozen=True)
class TorchWheel:
    """A wheel of PyTorch 2.13 for x86-64 Linux."""

    driver: int  # the oldest, of NVIDIA's major versions
    architectures: tuple[str, ...]  # compute capabilities that it has code for


# Architectures: PyTorch's own list (torch.cuda.PYTORCH_RELEASES_CODE_CC; a test compares).
# Drivers: NVIDIA, "CUDA Compatibility", minor version compatibility, table 1.
WHEELS = {
    "13.0": TorchWheel(580, ("7.5", "8.0", "8.6", "9.0", "10.0", "12.0")),
    "12.6": TorchWheel(525, ("5.0", "6.0", "7.0", "7.5", "8.0", "8.6", "9.0")),
}
PINNED, OLDER = "13.0", "12.6"  # of requirements.lock and of requirements-cu126.lock


def installed_cuda() -> str | None:
    """What this environment's PyTorch is built with, such as "12.6"; None without CUDA.

    By the name of its wheel, as importing PyTorch takes seconds.
    """
    match = re.search(r"\+(cpu|cu(\d+)(\d))$", version("torch"))
    if match is None:
        return PINNED
    return None if match[1] == "cpu" else f"{match[2]}.{match[3]}"


def oldest_driver(cuda: str) -> int:
    """Major version of the oldest driver for programs built with CUDA `cuda`, such as "13.0".

    Drivers support all CUDA releases of one major version. 0 where it is not known.
    """
    major = cuda.split(".", maxsplit=1)[0]
    same = [wheel.driver for name, wheel in WHEELS.items() if name.startswith(f"{major}.")]
    return same[0] if same else 0


def runs_on(architectures: Iterable[str], card: str) -> bool:
    """Whether code for any of the architectures runs on a card of capability `card` ("8.6").

    Machine code runs on its own major version, from its minor version on (NVIDIA, "CUDA
    Programming Guide", binary compatibility).
    """
    major, minor = map(int, card.split("."))
    return any(
        major == own and minor >= own_minor
        for own, own_minor in (map(int, each.split(".")) for each in architectures)
    )


def driver() -> str | None:
    """The version of the loaded driver, such as "580.65.06"; None without one."""
    try:
        match = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)\s", DRIVER.read_text())
    except OSError:
        return None
    return match[1] if match else None


def gpus_here() -> bool:
    """Whether a GPU is there for this process, whatever PyTorch makes of it.

    Not one that CUDA_VISIBLE_DEVICES hides, nor one that a scheduler keeps from this job: its
    device file is there, but cannot be opened.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "NoDevFiles"):
        return False
    files = [path for path in DEV.glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()]
    return any(_opens(path) for path in files) or (not files and _listed())


def _opens(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR))
    except PermissionError:
        return False
    except OSError:
        return True  # there, and broken
    return True


def _listed() -> bool:
    """By nvidia-smi: where there are no device files, as under Windows' Linux."""
    if (program := shutil.which("nvidia-smi")) is None:
        return False
    command = [program, "-L"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return "GPU 0" in done.stdout
