"""Winograd's transforms in C, compiled once per user and processor where a compiler is found.

Between memory and the matrix products, PyTorch's operations would read and write every value ten
times. Where there is no compiler, those of `transforms` predict all the same.

CC names the compiler, and CFLAGS has the last word: with `-march=x86-64-v3` they use no AVX-512.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from dmnet.winograd.source import source

log = logging.getLogger(__name__)

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-shared", "-fPIC")
CPUINFO = Path("/proc/cpuinfo")


@cache
def kernels() -> ctypes.CDLL | None:
    """The compiled transforms, or None where there is no compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        log.info("no C compiler (cc, gcc): convolutions by Winograd are slower")
        return None
    text = source()
    try:
        kept = cache_folder() / f"winograd-{fingerprint(compiler, text)}.so"
        if not kept.exists():
            compile_into(kept, compiler, text)
        return ctypes.CDLL(str(kept))
    except (OSError, subprocess.CalledProcessError):
        pass  # nothing can be kept there, or what lies there is no library
    try:
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder, "winograd.so")
            compile_into(library, compiler, text)
            return ctypes.CDLL(str(library))
    except (OSError, subprocess.CalledProcessError) as error:
        log.info("%s: cannot compile Winograd's transforms, PyTorch's take their place", error)
        return None


def cache_folder() -> Path:
    """Of this user alone: a library is code. Raises OSError where it cannot be, or is another's."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base, "dmnet")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(f"{folder}: others may write into it")
    return folder


def flags() -> list[str]:
    return [*FLAGS, *os.environ.get("CFLAGS", "").split()]


def fingerprint(compiler: str, text: str) -> str:
    """Of all that the library depends on; `-march=native` makes it one for this processor.

    Raises OSError where the processor's instructions are not known: folders are shared by machines.
    """
    parts = [compiler, *flags(), text, platform.machine(), processor_features()]
    found = shutil.which(compiler)
    if found is not None:  # another version has another size or time
        status = os.stat(found)
        parts += [str(status.st_size), str(status.st_mtime_ns)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def processor_features() -> str:
    """What Linux says of the first processor's model and instructions; OSError elsewhere."""
    lines = CPUINFO.read_text().split("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if line.startswith(("model", "flags", "Features")))


def compile_into(library: Path, compiler: str, text: str) -> None:
    """Written beside `library` and renamed, so that another process never sees half of it."""
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        file, made = Path(folder, "winograd.c"), Path(folder, "winograd.so")
        file.write_text(text)
        subprocess.run(
            [compiler, *flags(), str(file), "-o", str(made)], check=True, capture_output=True
        )
        os.replace(made, library)
