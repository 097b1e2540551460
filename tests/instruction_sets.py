"""The tests that compute, under fewer instructions than this processor has: on one machine, those
of others.

    python -m tests.instruction_sets avx2 [arguments of pytest]       most laptops' (no AVX-512)
    python -m tests.instruction_sets default [arguments of pytest]    what every x86-64 has

PyTorch, oneDNN, MKL, NumPy, OpenBLAS, OpenCV and the C library's exp are each
told in their own way, once, at their start; so the tests run in a process that was begun with these
variables, and which asks the libraries before the first test whether they keep to it. (MKL and the
C library do not tell. What of MKL has no instructions of its own on this processor's maker, it
leaves as it is.)

Which tests compute, tests/conftest.py finds out; they carry the mark `numeric`.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from dataclasses import dataclass

SELECTED = "numeric and not slurm and not slow and not servers and not browser and not gpu"
HELD_TO = "TESTS_HELD_TO"


@dataclass(frozen=True)
class InstructionSet:
    """What each library calls it; `numpy`: the groups of instructions that it may use; `opencv`
    and `glibc`: what they may not."""

    pytorch: str
    onednn: str
    onednn_says: str
    mkl: str
    numpy: tuple[str, ...]
    openblas: str
    opencv: str
    opencv_says: str
    ipp: str
    glibc: str

    def environment(self) -> dict[str, str]:
        disabled = [group for group in numpy_groups() if group not in self.numpy]
        return {
            "ATEN_CPU_CAPABILITY": self.pytorch,
            "ONEDNN_MAX_CPU_ISA": self.onednn,
            "MKL_ENABLE_INSTRUCTIONS": self.mkl,
            "NPY_DISABLE_CPU_FEATURES": " ".join(disabled),
            "OPENBLAS_CORETYPE": self.openblas,
            "OPENCV_CPU_DISABLE": self.opencv,
            "OPENCV_IPP": self.ipp,
            "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={self.glibc}",
        }


SETS = {
    "avx2": InstructionSet(
        pytorch="avx2",
        onednn="AVX2",
        onednn_says="Intel AVX2",
        mkl="AVX2",
        numpy=("X86_V3",),
        openblas="Haswell",
        opencv="AVX512-SKX",
        opencv_says="AVX2, IPP AVX2",
        ipp="avx2",
        glibc="-AVX512F",
    ),
    "default": InstructionSet(
        pytorch="default",
        onednn="SSE41",
        onednn_says="Intel SSE4.1",
        mkl="SSE4_2",
        numpy=(),
        openblas="Nehalem",
        opencv="AVX,FP16,AVX2,AVX512-SKX",
        opencv_says="SSE4.2, IPP SSE4.2",
        ipp="sse42",
        glibc="-AVX2,-FMA,-FMA4",
    ),
}


def numpy_groups() -> list[str]:
    """Those beyond its baseline that NumPy uses in this process."""
    import numpy as np

    extensions = np.show_config(mode="dicts")["SIMD Extensions"]  # type: ignore[call-overload]
    return list(extensions.get("found", []))


def onednn_says() -> str:
    """The instruction set that oneDNN names when it makes its first primitive; printed by C."""
    import torch
    from torch.backends import mkldnn

    maps, weight = torch.ones(1, 16, 8, 8), torch.ones(16, 16, 3, 3)
    settings = ([1, 1], [1, 1], [1, 1], 1)
    sys.stdout.flush()
    stdout = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            with mkldnn.verbose(mkldnn.VERBOSE_ON):
                torch.ops.mkldnn._convolution_pointwise(
                    maps, weight, None, *settings, "none", [], ""
                )
        finally:
            ctypes.CDLL(None).fflush(None)
            os.dup2(stdout, 1)
            os.close(stdout)
        file.seek(0)
        lines = file.read().decode().splitlines()
    return next(line.split("isa:")[1] for line in lines if ",isa:" in line)


def openblas_says() -> str:
    """The processors whose kernels NumPy's and SciPy's copies use."""
    import scipy.linalg  # noqa: F401  (loads its own)
    from threadpoolctl import threadpool_info

    copies = [found for found in threadpool_info() if found["internal_api"] == "openblas"]
    return " ".join(sorted({found["architecture"] for found in copies}))


def opencv_says() -> str:
    """The last of its groups of instructions in use, and of the Intel library in it."""
    import cv2

    groups = [group for group in cv2.getCPUFeaturesLine().split() if not group.endswith("?")]
    return f"{groups[-1].strip('*')}, IPP {cv2.ipp.getIppVersion().split()[1]}"


def held() -> dict[str, str]:
    """What the libraries of this process say that they use."""
    import torch

    return {
        "PyTorch": torch.backends.cpu.get_cpu_capability(),
        "oneDNN": onednn_says(),
        "NumPy": " ".join(numpy_groups()),
        "OpenBLAS": openblas_says(),
        "OpenCV": opencv_says(),
    }


def main(name: str, arguments: list[str]) -> int:
    wanted = SETS[name]
    if os.environ.get(HELD_TO) != name:
        again = [sys.executable, "-m", "tests.instruction_sets", name, *arguments]
        os.execve(sys.executable, again, {**os.environ, **wanted.environment(), HELD_TO: name})
    expected = {
        "PyTorch": wanted.pytorch.upper(),
        "oneDNN": wanted.onednn_says,
        "NumPy": " ".join(wanted.numpy),
        "OpenBLAS": wanted.openblas,
        "OpenCV": wanted.opencv_says,
    }
    found = held()
    print(f"held to {name}: {', '.join(f'{k} {v}' for k, v in found.items())}", flush=True)
    wrong = [library for library in expected if found[library] != expected[library]]
    for library in wrong:
        print(f"error: {library} uses {found[library]!r}, not {expected[library]!r}")
    if wrong:
        return 1
    import pytest

    return int(pytest.main(["-m", SELECTED, *arguments]))


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in SETS:
        sys.exit(f"usage: python -m tests.instruction_sets {'|'.join(SETS)} [pytest's arguments]")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
