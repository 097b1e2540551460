"""Two sides that do not compute the same are not measured; one that fails is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.cases import CASES, KINDS, MODELS, Case, kinds_on
from bench.limits import Limits
from bench.peer import BenchError, Peer
from bench.report import in_seconds, to_markdown, to_report, verdict
from bench.run import Measured, Times, difference, measure_cases

SIDE = """
import torch
from bench.worker import serve

class Job:
    def outputs(self):
        return {"logits": torch.tensor([0.0, 1.0]) + FACTOR}
    def run(self):
        pass

def make(case, folder, device):
    if case.kind == "unknown":
        raise KeyError(case.kind)
    return Job()

serve(make)
"""


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A process that takes part, whose outputs are off by `offset`."""

    def start(name: str, offset: float) -> Peer:
        (tmp_path / f"{name}.py").write_text(SIDE.replace("FACTOR", str(offset)))
        return Peer(name, Path(sys.executable), name, 1, tmp_path / f"{name}.log", tmp_path)

    return start


def test_sides_that_agree_are_measured_in_turn(side: Any) -> None:
    with side("ours", 0.0) as ours, side("theirs", 1e-7) as theirs:
        (measured,) = measure_cases(CASES[:1], ours, theirs, seconds=0)
    assert len(measured.ours.seconds) == len(measured.theirs.seconds) == 5
    assert 0 < measured.error < 1e-6


def test_sides_that_differ_are_not_measured(side: Any) -> None:
    with (
        side("ours", 0.0) as ours,
        side("theirs", 0.01) as theirs,
        pytest.raises(BenchError, match="DMNet R-50-D8, forward pass, 1 x 512 x 512: .* differ by"),
    ):
        list(measure_cases(CASES[:1], ours, theirs, seconds=0))


def test_a_failure_names_the_side_and_its_log(side: Any) -> None:
    with (
        side("theirs", 0.0) as theirs,
        pytest.raises(BenchError, match=r"theirs: KeyError: 'unknown'; see .*theirs\.log"),
    ):
        theirs.ask("start", case=Case("dmnet", "unknown", 1, 8, 8).to_json(), folder="")


def test_a_process_that_ends_is_an_error(tmp_path: Path) -> None:
    with (
        Peer("ours", Path(sys.executable), "no_such_module", 1, tmp_path / "ours.log") as ours,
        pytest.raises(BenchError, match=r"ours: its process ended; .*ours\.log"),
    ):
        ours.ask("machine")


@pytest.mark.parametrize("wrong", [torch.tensor([0.0, float("nan")]), torch.zeros(3)])
def test_nan_and_other_shapes_never_agree(wrong: torch.Tensor) -> None:
    assert difference(wrong, torch.tensor([0.0, 1.0])) == float("inf")
    assert difference(torch.tensor([0.0, 1.0]), wrong) == float("inf")


def test_a_scalar_is_compared_by_its_size() -> None:
    assert difference(torch.tensor(10.1), torch.tensor(10.0)) == pytest.approx(0.01, rel=1e-3)


def test_every_case_names_a_model_and_a_kind() -> None:
    assert {case.model for case in CASES} == set(MODELS)
    assert {case.kind for case in CASES} == set(KINDS)


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((1.01, 1.2), "faster"),
        ((0.97, 1.1), "as fast"),
        ((0.8, 1.2), "unclear"),
        ((0.8, 0.99), "slower"),
    ],
)
def test_the_verdict_needs_the_whole_interval(interval: tuple[float, float], word: str) -> None:
    assert verdict(*interval) == word


@pytest.mark.parametrize(
    ("value", "shown"),
    [(12.2284, "12.228"), (0.1512, "0.151"), (0.09, "0.0900"), (0.00312, "0.00312")],
)
def test_seconds_have_three_digits_at_least(value: float, shown: str) -> None:
    assert in_seconds(value) == shown


LIMITS = Limits(fp32=400e9, tf32=None, bf16=1600e9, copy=10e9, disk=None)


def test_the_report_says_what_was_measured_where() -> None:
    worker = {"torch": "2.13.0", "device": "CPU", "threads": 2}
    hardware = {
        **{"cpu": "a processor", "cores": 2, "platform": "Linux", "load_average": [0.1, 0.1, 0.1]},
        **{"ours": worker, "theirs": worker},
    }
    ours, theirs = Times([1.0] * 5, [2.0] * 5, [2**20] * 5), Times([1.25] * 5, [3.0] * 5)
    measured = Measured(CASES[0], ours, theirs, error=2e-6)
    report = to_report([measured], hardware, LIMITS)
    assert json.loads(json.dumps(report)) == report
    text = to_markdown(report)
    assert "a processor, 2 cores" in text
    row = next(line for line in text.splitlines() if "DMNet R-50-D8" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        *("DMNet R-50-D8", "forward pass", "1 x 512 x 512", "1.000", "1.250", "1.25"),
        *("1.25 to 1.25", "faster", "1.50 (1.50 to 1.50)", "5", "2e-06", "1 / -"),
    ]


@pytest.mark.parametrize(
    ("device", "bf16", "absent"),
    [
        ("cuda", True, set()),
        ("cpu", True, {"train_step_amp"}),
        ("cpu", False, {"train_step_amp", "forward_bf16"}),
    ],
)
def test_a_device_is_measured_in_what_it_has(device: str, bf16: bool, absent: set[str]) -> None:
    assert set(KINDS) - set(kinds_on(device, bf16)) == absent
