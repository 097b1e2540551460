"""Where a number was made: code commit, versions, hardware. Nothing secret, no environment."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dmnet.files import sha256_bytes

PACKAGES = ("torch", "numpy", "pillow", "opencv-python-headless")
CODE = ("dmnet", "pipeline", "params", "Snakefile")


@cache
def code_version() -> dict[str, Any]:
    """{"commit": full hash or None outside git, "modified": tracked code or params changed,
    "diff_sha256": of the changes, None without any}.

    The hash tells whether two runs had the same changes; the changes themselves stay private.
    """
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *CODE)
        options = ("--no-color", "--no-ext-diff", "--no-textconv", "--full-index", "--binary")
        diff = git("diff", *options, "HEAD", "--", *CODE) if changed else ""
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "modified": None, "diff_sha256": None}
    digest = sha256_bytes(diff.encode()) if changed else None
    return {"commit": commit, "modified": bool(changed), "diff_sha256": digest}


def device_name(device: torch.device) -> str:
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
    if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] < 8:
        return []
    cublas, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    allowed = {"convolutions": cudnn.allow_tf32, "products": cublas.allow_tf32}
    return [name for name, is_allowed in allowed.items() if is_allowed]


def environment(device: torch.device) -> dict[str, Any]:
    """Versions and hardware, JSON-ready; no names of users or machines, no variables."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": {"type": device.type, "name": device_name(device), "tf32": tf32(device)},
        "processor": {
            "name": device_name(torch.device("cpu")),
            # Those that PyTorch uses, which may be fewer than there are; others round otherwise.
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "cuda": torch.version.cuda if device.type == "cuda" else None,
    }
