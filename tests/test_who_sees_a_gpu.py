"""Tests see no GPU but those of `make test-gpu`, which are an error without one."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests import conftest


def configured(expression: str, *, rehearsal: bool = False) -> Any:
    return SimpleNamespace(
        stash=pytest.Stash(),
        option=SimpleNamespace(markexpr=expression),
        getoption=lambda name: rehearsal,
    )


def test_none_is_seen_here() -> None:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "" and not torch.cuda.is_available()


def test_without_one_its_tests_are_one_line() -> None:
    with pytest.raises(
        pytest.UsageError, match="^these tests need a GPU, and PyTorch .* sees none"
    ):
        conftest.pytest_configure(configured("gpu"))


@pytest.mark.parametrize(("expression", "rehearsal"), [("not gpu", False), ("gpu", True)])
def test_one_that_is_there_is_hidden(
    expression: str, rehearsal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    conftest.pytest_configure(configured(expression, rehearsal=rehearsal))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_one_that_is_there_stays_for_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    conftest.pytest_configure(configured("gpu"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
