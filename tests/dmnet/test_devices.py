"""The device is a decision: what is there and cannot be used is an error, not a CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dmnet import devices, gpus
from dmnet.__main__ import main
from dmnet.config import DatasetConfig, JobConfig
from dmnet.devices import CPU, in_words, pick_device
from dmnet.errors import DataError, DeviceError
from dmnet.training.run import train

Machine = Callable[..., None]
ONES = torch.ones


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """PyTorch's answers on a machine with `cards`; none: it finds none, whatever is there."""

    def become(
        *cards: str,
        here: bool = True,
        driver: str | None = "580.65.06",
        cuda: str | None = "13.0",
        **torch_: Any,
    ) -> None:
        answers = {
            "is_available": bool(cards),
            "device_count": len(cards),
            "get_arch_list": ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "compute_120"],
            **torch_,
        }
        for name, answer in answers.items():
            value = answer if callable(answer) else lambda answer=answer: answer
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(torch.version, "cuda", cuda)
        capabilities = [tuple(map(int, card.split("."))) for card in cards]
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda n: capabilities[n])
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda n: f"card {n}")
        monkeypatch.setattr(devices, "gpus_here", lambda: here)
        monkeypatch.setattr(devices, "driver", lambda: driver)
        monkeypatch.setattr(torch, "ones", lambda size, **_: ONES(size))

    return become


def fault(*arguments: Any) -> str:
    with pytest.raises(DeviceError) as caught:
        pick_device(*arguments)
    return str(caught.value)


def test_auto_is_the_gpu_where_one_is_there(machine: Machine) -> None:
    machine("9.0")
    assert (pick_device(), pick_device("cuda")) == (torch.device("cuda"), torch.device("cuda"))
    assert pick_device("cpu") == CPU
    machine(here=False)
    assert pick_device() == pick_device("auto") == CPU
    assert "no NVIDIA GPU is here" in fault("cuda")
    assert "device: cpu" in fault("cuda")


def test_a_card_that_the_wheel_has_no_code_for(machine: Machine) -> None:
    machine("7.0")
    for wanted in ("auto", "cuda"):
        found = fault(wanted)
        assert "card 0 (compute capability 7.0; it has 7.5, 8.0, 8.6, 9.0, 10.0)" in found
        assert "requirements-cu126.lock" in found and "device: cpu" in found
    assert pick_device("cpu") == CPU
    machine("3.7")
    assert "no wheel" in fault()
    machine("8.9")  # has none of its own, and runs 8.6's
    assert pick_device().type == "cuda"
    machine("13.0")  # not built yet; the driver compiles compute_120 for it
    assert pick_device().type == "cuda"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"driver": "535.154.05"}, "driver 535.154.05 is older than 580"),
        ({"driver": "535.154.05", "cuda": "12.6", "init": RuntimeError}, "cannot use it (broken)"),
        ({"driver": None}, "no driver is loaded; install NVIDIA's, 580 or later"),
        ({"cuda": None}, "is built without CUDA; install a wheel"),
        ({"init": RuntimeError}, "PyTorch cannot use it (broken); see nvidia-smi"),
    ],
)
def test_a_gpu_that_pytorch_does_not_find(
    values: dict[str, Any], reason: str, machine: Machine
) -> None:
    def init() -> None:
        raise RuntimeError("broken\nin several lines")

    machine(**{**values, "init": init})
    for wanted in ("auto", "cuda"):
        assert reason in fault(wanted)
        assert ("CUDA_VISIBLE_DEVICES=" in fault(wanted)) == (wanted == "auto")


def test_a_card_that_does_not_compute(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine("9.0", "9.0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")

    def ones(*size: int, device: torch.device) -> torch.Tensor:
        if device.index == 1:
            raise RuntimeError("CUDA error: uncorrectable ECC error\nmore")
        return torch.zeros(*size)

    monkeypatch.setattr(torch, "ones", ones)
    assert pick_device("auto", 0) == torch.device("cuda", 0)
    with pytest.raises(DeviceError, match="card 1 does not compute.*ECC error") as caught:
        pick_device("auto", 1)
    assert not caught.value.common  # only this process can tell it


def test_each_process_needs_a_gpu_and_all_say_the_same(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("9.0", "9.0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert fault("auto", 0) == fault("auto", 3)
    assert "execution.processes: 4" in fault("auto", 3) and "2 GPU(s)" in fault("auto", 3)


def test_a_training_says_its_device_before_anything_else(
    make_job: Callable[..., JobConfig],
    drawn_data: tuple[DatasetConfig, Path],
    machine: Machine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dataset, data = drawn_data
    machine(here=False)
    caplog.set_level(logging.INFO)
    job = make_job(dataset)
    with pytest.raises(DataError):
        train(job, tmp_path / job.run.key, tmp_path / "no data", tmp_path)
    assert [record.message for record in caplog.records] == [f"device: {in_words(CPU)}"]
    asked = job.model_copy(
        update={"execution": job.execution.model_copy(update={"device": "cuda"})}
    )
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        train(asked, tmp_path / job.run.key, data, tmp_path)


def test_a_driver_is_needed_for_a_major_version() -> None:
    assert [gpus.oldest_driver(cuda) for cuda in ("13.0", "13.2", "12.6", "11.8")] == [
        580,
        580,
        525,
        0,
    ]


def test_the_command_prints_one_line(
    machine: Machine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    machine("7.0")
    config = (
        '{"model": {"backbone": {"name": "resnet", "width": 4}, "head": {"name": "fcn", '
        '"channels": 4}}, "classes": 3, "image_size": [40, 64], "crop_size": [32, 32], '
        '"batch_size": 2}'
    )
    assert main(["speed", "--config", config, "--output", str(tmp_path / "x.json")]) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert "has no code for card 0" in line and not (tmp_path / "x.json").exists()
