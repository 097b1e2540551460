"""What PyTorch's wheels need of a card, and whether one is here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from dmnet import gpus


def test_the_wheels_have_code_for_what_pytorch_says_of_its_releases() -> None:
    if not torch.__version__.startswith("2.13."):
        pytest.skip("the table is of the pinned release")
    for cuda, build in gpus.WHEELS.items():
        listed = torch.cuda.PYTORCH_RELEASES_CODE_CC[cuda]["x86_64"]
        assert {int(one.replace(".", "")) for one in build.architectures} == listed
        for card in (37, 50, 60, 61, 70, 75, 80, 86, 89, 90, 100, 120):
            theirs = any(card in torch.cuda.DEVICE_REQUIREMENT[code] for code in listed)
            assert gpus.runs_on(build.architectures, f"{card // 10}.{card % 10}") == theirs, card


@pytest.mark.parametrize(
    ("wheel", "cuda"),
    [("2.13.0", "13.0"), ("2.13.0+cpu", None), ("2.13.0+cu126", "12.6"), ("2.14.0+cu132", "13.2")],
)
def test_what_pytorch_is_built_with(
    wheel: str, cuda: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "version", lambda _: wheel)
    assert gpus.installed_cuda() == cuda


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.154.05  Thu Dec 28 15:37:48 UTC\n"
            "GCC version: gcc version 12.2.0\n",
            "535.154.05",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n",
            "580.65.06",
        ),
        ("something else\n", None),
    ],
)
def test_the_driver_s_version(
    text: str, version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "version")
    assert gpus.driver() is None
    gpus.DRIVER.write_text(text)
    assert gpus.driver() == version


def test_a_gpu_is_one_whose_device_file_this_process_may_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(gpus, "DEV", tmp_path)
    (tmp_path / "nvidiactl").touch()  # is there without a card, too
    assert not gpus.gpus_here()
    (tmp_path / "nvidia0").touch()
    assert gpus.gpus_here()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not gpus.gpus_here()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    real = os.open

    def denied(path: str | Path, *rest: int) -> int:
        if Path(path).name == "nvidia0":
            raise PermissionError(1, "Operation not permitted")  # as a job's cgroup has it
        return real(path, *rest)

    monkeypatch.setattr(os, "open", denied)
    assert not gpus.gpus_here()


@pytest.mark.parametrize(
    ("script", "found"), [("echo 'GPU 0: NVIDIA T4'", True), ("exit 9", False)]
)
def test_without_device_files_nvidia_smi_is_asked(
    script: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "DEV", tmp_path / "dev")
    assert gpus.gpus_here() == found
