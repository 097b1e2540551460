"""Winograd's transforms in C: that they are compiled once, and round as PyTorch's operations do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from dmnet.winograd import kernels as module
from dmnet.winograd.kernels import kernels
from dmnet.winograd.transforms import input_tiles


def test_the_kernels_compile_where_there_is_a_compiler() -> None:
    there_is_one = shutil.which("cc") is not None or shutil.which("gcc") is not None
    assert (kernels() is not None) == there_is_one


@torch.no_grad()
def test_the_bf16_kernels_round_as_pytorch_does() -> None:
    """Input tiles of 2 x 2 sum up to four pixels; every bit pattern of bf16 comes in."""
    if kernels() is None:
        pytest.skip("no compiler")
    x = torch.arange(2**16).to(torch.uint16).view(torch.bfloat16).view(1, 64, 64, 16)
    fast, plain = (input_tiles([x], (2, 2), 1, fast) for fast in (True, False))
    assert torch.equal(fast.isnan(), plain.isnan())
    same = (fast == plain) | plain.isnan()
    assert bool(same.all())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if kernels() is None:
        pytest.skip("no compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "dmnet"


def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where each library that is compiled from now on goes."""
    found: list[Path] = []
    compile_into = module.compile_into

    def watched(library: Path, compiler: str, text: str) -> None:
        found.append(library)
        compile_into(library, compiler, text)

    monkeypatch.setattr(module, "compile_into", watched)
    return found


def test_the_second_process_does_not_compile(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compilations(monkeypatch)
    assert kernels.__wrapped__() is not None and kernels.__wrapped__() is not None
    assert found == list(cache.iterdir())  # one, and nothing beside it
    assert cache.stat().st_mode & 0o077 == 0


def test_each_set_of_instructions_has_a_library_of_its_own(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CFLAGS as `make test-avx2` gives them; the compiler takes the last of several -march."""
    commands: list[list[str]] = []
    run = subprocess.run

    def watched(command: list[str], **options: Any) -> Any:
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(module.subprocess, "run", watched)
    for flags in ("", "-march=native"):
        monkeypatch.setenv("CFLAGS", flags)
        assert kernels.__wrapped__() is not None
    assert len(list(cache.iterdir())) == len(commands) == 2
    assert [part for part in commands[1] if part.startswith("-m")] == ["-march=native"] * 2


def test_where_instructions_are_not_known_nothing_is_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CPUINFO", Path("absent"))
    assert kernels.__wrapped__() is not None
    assert not list(cache.iterdir())


@pytest.mark.parametrize("why", ["damaged", "others may write", "a file in its place"])
def test_without_a_cache_they_are_compiled_for_this_process(
    why: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "damaged":
        monkeypatch.setattr(module, "fingerprint", lambda *_: "damaged")
        cache.mkdir(mode=0o700)
        (cache / "winograd-damaged.so").write_bytes(b"no library")
    elif why == "others may write":
        cache.mkdir()
        cache.chmod(0o777)
    else:
        cache.write_text("")
    found = compilations(monkeypatch)
    assert kernels.__wrapped__() is not None
    assert found[-1].parent != cache
