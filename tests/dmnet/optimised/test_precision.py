"""bfloat16 where the processor has it; float32 and a line where not, and never an error."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
import torch

from dmnet.config import ModelConfig
from dmnet.optimised import Options, optimised, precision
from dmnet.optimised.precision import has_bf16, onednn_takes_bf16
from dmnet.segmentor import Segmentor

BF16 = Options(precision="bf16")
CONFIG = ModelConfig.model_validate(
    {"backbone": {"name": "resnet", "width": 8}, "head": {"name": "dmnet", "channels": 16}}
)
FALLS_BACK = """
import torch
from tests.dmnet.optimised.test_precision import BF16, CONFIG
from dmnet.optimised import optimised
from dmnet.segmentor import Segmentor

form = optimised(Segmentor(CONFIG, 5).eval(), BF16)
print(form(torch.zeros(1, 3, 64, 64)).main.shape, {b.dtype for b in form.buffers()})
"""


@torch.no_grad()
def test_without_bf16_the_form_is_that_in_float32_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "onednn_takes_bf16", lambda: False)
    model, x = Segmentor(CONFIG, 5).eval(), torch.randn(1, 3, 64, 64)
    with caplog.at_level(logging.WARNING):
        got = optimised(model, BF16)(x).main
    assert torch.equal(got, optimised(model)(x).main)
    (line,) = caplog.messages
    assert "no convolutions in bfloat16" in line and line.endswith("computes in float32")


def test_a_processor_held_to_avx2_falls_back() -> None:
    """oneDNN is told at its start, so in a process of its own; what /proc/cpuinfo says remains."""
    done = subprocess.run(
        [sys.executable, "-c", FALLS_BACK],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "torch.Size([1, 5, 8, 8]) {torch.float32}"
    assert "computes in float32" in done.stderr


def test_a_gpu_keeps_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "onednn_takes_bf16", lambda: False)
    assert not has_bf16(torch.device("cpu")) and has_bf16(torch.device("cuda"))
    form = optimised(Segmentor(CONFIG, 5).to("meta"), BF16)
    assert {buffer.dtype for buffer in form.buffers()} == {torch.bfloat16}


def test_without_onednn_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not onednn_takes_bf16.__wrapped__()
