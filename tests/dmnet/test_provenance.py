"""Where a number was made: also in which arithmetic."""

from __future__ import annotations

import pytest
import torch

from dmnet import provenance
from dmnet.provenance import code_begun, code_ended, environment, tf32


@pytest.mark.parametrize(
    ("capability", "convolutions", "products", "found"),
    [
        ((7, 0), True, True, []),  # V100, on which the zoos' rows were measured, has no TF32
        ((9, 0), True, False, ["convolutions"]),  # PyTorch's defaults on a later one
        ((9, 0), True, True, ["convolutions", "products"]),
        ((9, 0), False, False, []),
    ],
)
def test_what_a_gpu_computes_in_tf32(
    capability: tuple[int, int],
    convolutions: bool,
    products: bool,
    found: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    cudnn, cublas = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, cublas.allow_tf32
    cudnn.allow_tf32, cublas.allow_tf32 = convolutions, products
    try:
        assert tf32(torch.device("cuda")) == found
    finally:
        cudnn.allow_tf32, cublas.allow_tf32 = before


def test_a_processor_has_no_tf32() -> None:
    where = environment(torch.device("cpu"))
    assert where["device"]["type"] == "cpu" and where["device"]["tf32"] == []
    assert where["processor"]["instructions"] == torch.backends.cpu.get_cpu_capability()


def test_a_change_since_the_beginning_is_noted_and_stays_noted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = "a"
    monkeypatch.setattr(provenance, "computing_code", lambda: now)
    begun = {"commit": "c" * 40, "sha256": "a", "changed": False}
    assert code_ended(begun) == begun and not caplog.text
    now = "b"
    ended = code_ended(begun)
    assert ended == {**begun, "changed": True}
    assert "files of dmnet/ changed while this ran" in caplog.text
    now = "a"  # changed back: what was loaded meanwhile is not known
    assert code_ended(ended)["changed"] is True


def test_an_unknown_commit_is_said_when_work_begins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    code = {"commit": None, "reason": "git: dubious; do this", "sha256": "a", "changed": False}
    monkeypatch.setattr(provenance, "code_at_start", lambda package: code)
    monkeypatch.setattr(provenance, "computing_code", lambda: "a")
    assert code_begun() == code
    assert "the commit of the code is unknown: git: dubious; do this" in caplog.text
