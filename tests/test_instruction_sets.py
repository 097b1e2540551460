"""The lanes of fewer instructions: that the libraries are held to them, and what runs there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import computes
from tests.instruction_sets import HELD_TO, SETS

ROOT = Path(__file__).resolve().parent.parent


def lane(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """As `make test-avx2` starts it; whatever lane this test itself is in."""
    known = {HELD_TO, *SETS[name].environment()}
    return subprocess.run(
        [sys.executable, "-m", "tests.instruction_sets", name, *arguments],
        env={k: v for k, v in os.environ.items() if k not in known} | variables,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", SETS)
def test_the_libraries_say_that_they_keep_to_it(name: str) -> None:
    done = lane(name, "--collect-only", "tests/dmnet/test_layers.py", "tests/dmnet/test_text.py")
    assert f"held to {name}: PyTorch {name.upper()}, oneDNN {SETS[name].onednn_says}" in done.stdout
    assert "test_layers.py" in done.stdout and "test_text.py" not in done.stdout
    assert done.returncode == 0


def test_libraries_that_are_not_held_are_named_before_the_first_test() -> None:
    more = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX"}
    more |= {"OPENBLAS_CORETYPE": "Haswell", "OPENCV_CPU_DISABLE": "AVX512-SKX"}
    others = {**more, "NPY_DISABLE_CPU_FEATURES": "", HELD_TO: "default"}
    done = lane("default", "tests/dmnet/test_layers.py", **others)
    assert done.returncode == 1 and "passed" not in done.stdout
    for library in ("PyTorch", "oneDNN", "NumPy", "OpenBLAS", "OpenCV"):
        assert f"error: {library} uses " in done.stdout


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/dmnet/test_layers.py", True),  # imports PyTorch
        ("tests/dmnet/training/test_golden_losses.py", True),  # imports what trains
        ("tests/bench/test_verdict_rates.py", True),  # imports what draws random numbers
        ("tests/dmnet/importers/test_published.py", False),
        ("tests/pipeline/spec/test_tables.py", False),
    ],
)
def test_what_computes_is_found_in_the_imports(path: str, expected: bool) -> None:
    assert computes(ROOT / path) == expected


def test_every_comparison_with_a_reference_computes() -> None:
    compared = [
        path
        for path in (ROOT / "tests/dmnet").rglob("test_*.py")
        if "fidelity:" in path.read_text()
    ]
    assert len(compared) > 5 and all(computes(path) for path in compared)
