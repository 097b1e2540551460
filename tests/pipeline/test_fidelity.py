"""The list of comparisons with the reference implementations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ResultError
from pipeline.fidelity import render_fidelity, write_fidelity

CONFTEST = Path(__file__).resolve().parent.parent / "conftest.py"
COMPARING = """
import torch

def test_close(fidelity):
    fidelity("Net", "logits", torch.tensor([0.0, 1.000001]), torch.tensor([0.0, 1.0]), source="f")

def test_labels(fidelity):
    fidelity("Net", "label map", torch.tensor([1, 2]), torch.tensor([1, {label}]), source="f")

def test_of_something_else():
    raise AssertionError("must not be chosen")
"""


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A tree with the tests' own fixture and two comparisons, the second as told."""

    def make(label: int) -> Path:
        (tmp_path / "tests/dmnet").mkdir(parents=True)
        (tmp_path / "tests/conftest.py").write_text(CONFTEST.read_text())
        (tmp_path / "tests/dmnet/test_net.py").write_text(COMPARING.replace("{label}", str(label)))
        monkeypatch.chdir(tmp_path)
        return tmp_path / "reports"

    return make


def test_only_the_comparisons_run_and_each_is_listed_with_its_error(tree):
    folder = tree(label=2)
    write_fidelity(folder)
    text = (folder / "fidelity.md").read_text()
    assert "2 of 2 comparisons hold" in text
    assert "| logits" in text and "9.5e-07" in text
    assert not (folder / "partial/fidelity.json").exists()


def test_a_comparison_that_fails_is_an_error_and_the_list_says_which(tree):
    folder = tree(label=3)
    with pytest.raises(ResultError, match="Net: label map"):
        write_fidelity(folder)
    assert not (folder / "fidelity.md").exists()
    assert "**no**" in (folder / "partial/fidelity.md").read_text()


def test_without_tests_there_is_no_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultError, match="no comparison was made"):
        write_fidelity(tmp_path / "reports")


def test_numbers_are_compared_relative_to_the_reference():
    row = {"model": "Net", "what": "loss", "source": "f", "measure": "relative difference"}
    text = render_fidelity([{**row, "error": 3e-6, "limit": 1e-5, "holds": True, "test": "t"}])
    assert "3.0e-06" in text and "1e-05" in text


def test_the_fixture_fails_a_test_whose_numbers_differ(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(
        "def test_it(fidelity):\n    fidelity('Net', 'loss', 1.1, 1.0, source='f')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Net, loss: error 0.1, limit 1e-05 (relative difference)" in done.stdout
