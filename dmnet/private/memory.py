"""Large blocks of memory that stay with the process, in large pages.

A network's maps are tens of megabytes. By default glibc gives each such block back to the system
when it is freed and asks for it anew for the next layer, and the system clears it page by page
(4 KiB): copying 128 MiB then costs four times the processor time of the copy itself. Kept blocks
and pages of 2 MiB avoid it. No number changes; the process holds on to what it needed most.
"""

from __future__ import annotations

import ctypes
import os

# <malloc.h>; glibc only.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**30  # bytes: larger blocks still go back at once
KEPT = 2**31 - 1  # bytes at the top of the heap that are not given back


def keep_large_blocks() -> bool:
    """Set it for this process, before PyTorch allocates; False where the C library is not glibc.

    Large pages are PyTorch's own setting, an environment variable, and stay as a user set them.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        if "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""):
            return False
        library = ctypes.CDLL(None)
        return bool(
            library.mallopt(M_MMAP_THRESHOLD, LARGEST) and library.mallopt(M_TRIM_THRESHOLD, KEPT)
        )
    except (ValueError, OSError, AttributeError):
        return False
