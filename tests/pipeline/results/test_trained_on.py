"""A report says of what was trained on a GPU that its bits do not come again, unless they do."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.results.schemas import Trained
from pipeline.results.trained_on import trained_on


def attempt(kind: str, name: str, deterministic: bool | None) -> dict[str, Any]:
    execution = {} if deterministic is None else {"deterministic": deterministic}
    return {
        "environment": {"device": {"type": kind, "name": name}},
        "parameters": {"execution": execution},
    }


def trained(environment: Any, attempts: list[dict[str, Any]]) -> Trained:
    return Trained.model_validate(
        {
            "weights": {"file": "weights.pt", "sha256": "0" * 64},
            "iterations": 1,
            "data_fingerprint": "0" * 64,
            "code": {"commit": None, "modified": None},
            "environment": environment,
            "attempts": attempts,
        }
    )


CPU, GPU = attempt("cpu", "a processor", None), attempt("cuda", "a GPU", None)
FIXED, OTHER = attempt("cuda", "a GPU", True), attempt("cuda", "another GPU", True)
UNKNOWN = {"environment": None, "parameters": None}  # of before attempts were recorded


@pytest.mark.parametrize(
    ("attempts", "text"),
    [
        ([CPU], "cpu"),
        ([UNKNOWN, CPU], "cpu"),
        ([GPU], "cuda, bits not reproducible"),
        ([FIXED, FIXED], "cuda, deterministic"),
        ([FIXED, GPU], "cuda, bits not reproducible"),
        ([FIXED, OTHER], "cuda, bits not reproducible"),
        ([GPU, CPU], "cuda and cpu, bits not reproducible"),
        ([attempt("cpu", "a processor", True), FIXED], "cpu and cuda, bits not reproducible"),
    ],
)
def test_whether_bits_come_again(attempts: list[dict[str, Any]], text: str) -> None:
    assert trained_on(trained(attempts[-1]["environment"], attempts)) == text


@pytest.mark.parametrize(("device", "text"), [(CPU, "cpu"), (GPU, "cuda, bits not reproducible")])
def test_of_earlier_results_the_last_device_is_known(device: dict[str, Any], text: str) -> None:
    assert trained_on(trained(device["environment"], [])) == text


@pytest.mark.parametrize("name", ["environment", "parameters"])
def test_what_an_attempt_says_is_checked_where_it_is_read(name: str) -> None:
    bad = {
        "environment": {"device": {"type": "<b>"}},
        "parameters": {"execution": {"deterministic": "no"}},
    }
    assert trained(CPU["environment"], [FIXED])
    with pytest.raises(ValueError, match=rf"attempts\.0\.{name}"):
        trained(CPU["environment"], [{name: bad[name]}])
