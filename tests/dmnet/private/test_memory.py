"""A process keeps what it allocates; a user's own setting of large pages stays."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from dmnet.private.memory import keep_large_blocks

# Page faults of a copy of 64 MiB after three others: small where blocks are kept or pages large.
SCRIPT = """
import resource, sys
if sys.argv[1] == "keep":
    from dmnet.private.memory import keep_large_blocks
    assert keep_large_blocks()
import torch
x = torch.ones(16 * 2**20)
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    y = x.clone()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    del y
print(faults)
"""


def faults(how: str) -> int:
    environment = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], env=environment, capture_output=True, check=True
    )
    return int(done.stdout)


def large_pages_on_request() -> bool:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.exists() and "[madvise]" in setting.read_text()


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not large_pages_on_request(),
    reason="only where glibc and the kernel's usual setting leave something to gain",
)
def test_a_freed_block_is_used_again() -> None:
    """Of the 16384 pages of 4 KiB, fewer than a tenth are asked for anew."""
    assert faults("as it is") >= 16384
    assert faults("keep") < 1638


def test_a_setting_of_the_user_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    keep_large_blocks()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"


def test_glibc_takes_the_settings() -> None:
    assert keep_large_blocks() == (platform.libc_ver()[0] == "glibc")
