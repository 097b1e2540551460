"""The list of comparisons with the reference implementations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dmnet.files import read_json
from pipeline.errors import ResultError
from pipeline.reports.fidelity import render_fidelity, write_fidelity
from pipeline.reports.model.fidelity import Fidelity

CONFTEST = Path(__file__).resolve().parents[2] / "conftest.py"
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
        (tmp_path / "tests/terminal.py").write_text(CONFTEST.with_name("terminal.py").read_text())
        (tmp_path / "tests/dmnet/test_net.py").write_text(COMPARING.replace("{label}", str(label)))
        monkeypatch.chdir(tmp_path)
        return tmp_path / "reports"

    return make


def test_only_the_comparisons_run_and_each_is_listed_with_its_error(tree):
    folder = tree(label=2)
    write_fidelity(folder)
    text = (folder / "fidelity.md").read_text()
    assert first_paragraph(text) == "All 2 comparisons hold."
    assert "| logits" in text and "9.5e-07" in text
    made = read_json(folder / "fidelity.json")["made"]
    assert made["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert f"PyTorch using {made['instructions']}, {made['threads']} thread" in text
    assert not (folder / "partial/fidelity.json").exists()


def test_a_comparison_that_fails_is_an_error_and_the_list_says_which(tree):
    folder = tree(label=3)
    with pytest.raises(ResultError, match="Net: label map"):
        write_fidelity(folder)
    assert not (folder / "fidelity.md").exists()
    text = (folder / "partial/fidelity.md").read_text()
    assert first_paragraph(text) == "**1 of 2 comparisons fail**, 1 hold:"
    assert "- Net: label map: error 5.0e-01, limit: equal" in text
    assert [held_of(text, what) for what in ("logits", "label map")] == ["yes", "**no**"]


def test_a_test_that_ends_before_it_compares_is_no_success(tree):
    folder = tree(label=2)
    broken = "\ndef test_broken(fidelity):\n    raise ValueError\n"
    file = folder.parent / "tests/dmnet/test_net.py"
    file.write_text(file.read_text() + broken)
    with pytest.raises(ResultError, match="a test failed before it compared"):
        write_fidelity(folder)
    text = (folder / "partial/fidelity.md").read_text()
    assert first_paragraph(text).startswith("**Not complete: a test failed before it compared.**")


def test_what_tests_assert_counts_under_pythonoptimize(tree, monkeypatch):
    folder = tree(label=2)
    tests = folder.parent / "tests/dmnet"
    (tests / "helper.py").write_text("def check():\n    assert False\n")
    (tests / "test_net.py").write_text(
        f"import helper\n{COMPARING.replace('{label}', '2')}\n"
        "def test_helped(fidelity):\n    helper.check()\n"
    )
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    with pytest.raises(ResultError, match="a test failed before it compared"):
        write_fidelity(folder)


def first_paragraph(text: str) -> str:
    return text.split("\n\n")[1]


def held_of(text: str, what: str) -> str:
    """A row's entry in the column `Holds`."""
    lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    head = next(line for line in lines if "Holds" in line)
    return next(line for line in lines if what in line[1:2])[head.index("Holds")]


def test_without_tests_there_is_no_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultError, match="no comparison was made"):
        write_fidelity(tmp_path / "reports")


def test_numbers_are_compared_relative_to_the_reference():
    row = {"model": "Net", "what": "loss", "source": "f", "measure": "relative difference"}
    row |= {"error": 3e-6, "limit": 1e-5, "holds": True, "test": "t"}
    made = {"processor": "a CPU", "instructions": "AVX2", "threads": 1}
    text = render_fidelity(Fidelity.model_validate({"made": made, "comparisons": [row]}))
    assert "3.0e-06" in text and "1e-05" in text


def test_the_fixture_fails_a_test_whose_numbers_differ_and_lists_it_from_another_process(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(
        "import torch\n"
        "def test_it(fidelity):\n    fidelity('Net', 'loss', 1.1, 1.0, source='f')\n"
        "def test_of_a_part(fidelity):\n"
        "    maps = torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 5, 4])\n"
        "    where = maps[1] != 5\n"
        "    fidelity('Net', 'map', *maps, where=where, source='f')\n"
        "    fidelity('Net', 'other map', *maps, where=~where, source='f')\n"
    )
    made = tmp_path / "made.json"
    command = [sys.executable, "-m", "pytest", "-n", "1", "--fidelity", str(made), str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Net, loss: error 0.1, limit 1e-05 (relative difference)" in done.stdout
    loss, part, other = read_json(made)["comparisons"]
    assert [row["holds"] for row in (loss, part, other)] == [False, True, False]
    assert part["measure"].endswith("(of the 75.0 % that more than rounding decides)")


BESIDE_FLOAT64 = """
import pytest

@pytest.mark.parametrize("ours", [1 - 2e-3, 1 + 4e-3])
def test_it(fidelity, ours):
    fidelity("Net", "gradient", ours, 1 + 1e-3, exact=1.0, source="f")
"""


def test_what_float32_magnifies_may_be_three_times_as_far_from_float64_as_the_recording(tmp_path):
    """The first is 3e-3 from the recording, which two roundings may be; the second as far."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(BESIDE_FLOAT64)
    command = [sys.executable, "-m", "pytest", "-q", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "1 failed, 1 passed" in done.stdout
    assert "gradient: error 0.004, limit 0.003 (relative difference to float64" in done.stdout
