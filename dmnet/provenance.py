"""Where a number was made: code commit, versions, hardware. Nothing secret, no environment.

Code is recorded when work begins and looked at again when it ends: a result is of the code that
its process has loaded, whatever lies on the disk by then.
"""

from __future__ import annotations

import logging
import os
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmnet.checkout import code_version, computing_code

if TYPE_CHECKING:  # `code_at_start` is called before PyTorch is imported, which takes seconds
    import torch

log = logging.getLogger(__name__)

PACKAGES = ("torch", "numpy", "pillow", "opencv-python-headless")


@cache
def code_at_start(*, package: bool) -> dict[str, Any]:
    """The code that this process runs, as `code_version` describes it.

    package: as there. Of the first call with it; the command line makes that before it imports
    what computes.
    """
    return code_version(package=package)


def code_begun(package: bool = False) -> dict[str, Any]:
    """The same when work begins; an unknown commit or a change since the start is logged."""
    code = code_ended(code_at_start(package=package))
    if code["commit"] is None:
        log.warning("the commit of the code is unknown: %s", code["reason"])
    return code


def code_ended(code: dict[str, Any]) -> dict[str, Any]:
    """The record of the beginning, `changed` if the model package's files are others by now.

    A change is noted once and stays noted, whatever the files become later.
    """
    if code["changed"] or computing_code() == code["sha256"]:
        return code
    log.warning("files of dmnet/ changed while this ran; its record says so, and reports will")
    return {**code, "changed": True}


def device_name(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def tf32(device: torch.device) -> list[str]:
    """What is computed with float32 rounded to TF32, 10 bits of mantissa in place of 23.

    PyTorch's default for convolutions ("convolutions", "products"); on NVIDIA's GPUs since 2020.
    """
    import torch

    if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] < 8:
        return []
    cublas, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    allowed = {"convolutions": cudnn.allow_tf32, "products": cublas.allow_tf32}
    return [name for name, is_allowed in allowed.items() if is_allowed]


def environment(device: torch.device) -> dict[str, Any]:
    """Versions and hardware, JSON-ready; no names of users or machines, no variables."""
    import torch

    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": {"type": device.type, "name": device_name(device), "tf32": tf32(device)},
        "processor": {
            "name": device_name(torch.device("cpu")),
            # Those that PyTorch uses, which may be fewer than there are; others round differently.
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "cuda": torch.version.cuda if device.type == "cuda" else None,
    }
