"""Two sides that do not compute the same are not measured; one that fails is named."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.cases import CASES, GPU_CASES, KINDS, MODELS, Case, cases_on, kinds_on
from bench.limits import Limits
from bench.peer import BenchError, Peer
from bench.report import in_seconds, to_markdown, to_report, verdict
from bench.run import FailedCase, MeasuredCase, Times, difference, measure_cases
from bench.worker import configure
from pipeline.experiments import PARAMS
from pipeline.spec.params import Params

DIFFERS, FAILS, ENDS = 2, 3, 4  # batches at which a side does so
SIDE = (
    f"DIFFERS, FAILS, ENDS = {DIFFERS}, {FAILS}, {ENDS}"
    + """
import os
import torch
from bench.worker import serve

class Job:
    def __init__(self, case):
        self.case = case
    def outputs(self):
        if self.case.batch == ENDS:
            os._exit(9)
        factor = self.case.batch == DIFFERS and FACTOR > 0
        return {"logits": torch.tensor([0.0, 1.0]) + FACTOR + factor}
    def run(self):
        pass

def make(case, folder, device):
    if case.batch == FAILS:
        raise KeyError("unknown")
    return Job(case)

serve(make)
"""
)


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A process that takes part, whose outputs are off by `offset`."""

    def start(name: str, offset: float) -> Peer:
        (tmp_path / f"{name}.py").write_text(SIDE.replace("FACTOR", str(offset)))
        return Peer(name, Path(sys.executable), name, 1, tmp_path / f"{name}.log", tmp_path)

    return start


def test_sides_that_agree_are_measured_in_turn(side: Any) -> None:
    with side("ours", 0.0) as ours, side("theirs", 1e-7) as theirs:
        (measured,) = measure_cases(CASES[:1], ours, theirs, 0, "cpu")
    assert isinstance(measured, MeasuredCase)
    assert len(measured.ours.seconds) == len(measured.theirs.seconds) == 5
    assert 0 < measured.error < 1e-6


def test_what_fails_costs_its_own_row_only(side: Any) -> None:
    """A disagreement, a side's error, the end of a process."""
    first, *_ = CASES
    cases = [replace(first, batch=number) for number in (1, DIFFERS, FAILS, ENDS, 1)]
    with side("ours", 0.0) as ours, side("theirs", 1e-7) as theirs:
        rows = list(measure_cases(cases, ours, theirs, 0, "cpu"))
    assert [isinstance(row, MeasuredCase) for row in rows] == [True, False, False, False, True]
    reasons = [row.reason for row in rows if isinstance(row, FailedCase)]
    assert "the two sides differ by 1.0e+00, expected at most 1e-05" in reasons[0]
    assert "theirs: KeyError: 'unknown'; see " in reasons[1]
    assert "ours: its process ended; the end of " in reasons[2]


def test_a_failure_names_the_side_and_its_log(side: Any) -> None:
    with (
        side("theirs", 0.0) as theirs,
        pytest.raises(BenchError, match=r"theirs: KeyError: 'unknown'; see .*theirs\.log"),
    ):
        theirs.ask("start", case=Case("dmnet", "forward", FAILS, 8, 8).to_json(), folder="")


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
    for device in ("cpu", "cuda"):
        assert {case.model for case in cases_on(device)} == set(MODELS)
        assert {case.kind for case in cases_on(device)} == set(kinds_on(device))
    assert {case.kind for case in GPU_CASES} == set(KINDS)


def test_on_a_gpu_steps_have_the_recipes_own_sizes() -> None:
    """The paper's batch, and that of one of the releases' GPUs."""
    sizes = {
        (case.model, case.batch, case.height, case.width)
        for case in GPU_CASES
        if case.kind == "train_step"
    }
    for model, recipe, devices in (
        ("dmnet", "paper-voc", 1),
        ("dmnet", "mmseg-cityscapes-40k", 4),
        ("deeplabv3", "mmseg-cityscapes-40k", 4),
        ("bisenetv2", "mmseg-bisenetv2", 4),
    ):
        settings = Params(PARAMS).recipe(recipe, "a test")
        height, width = settings["recipe.crop_size"].value
        batch = settings["recipe.batch_size"].value
        assert (model, batch // devices, height, width) in sizes, recipe


def test_values_are_compared_exactly_and_timed_as_users_get_them() -> None:
    gpu, cudnn = torch.device("cuda"), torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.benchmark
    try:
        configure(gpu, exact=True)
        assert not cudnn.allow_tf32 and not cudnn.benchmark
        configure(gpu, exact=False)
        assert cudnn.allow_tf32 and cudnn.benchmark
    finally:
        cudnn.allow_tf32, cudnn.benchmark = before


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


LIMITS = Limits(fp32=400e9, tf32=None, bf16=None, copy=10e9, disk=None)


def test_the_report_says_what_was_measured_where() -> None:
    worker = {"torch": "2.13.0", "device": "CPU", "threads": 2}
    hardware = {
        **{"cpu": "a processor", "cores": 2, "platform": "Linux", "load_average": [0.1, 0.1, 0.1]},
        **{"ours": worker, "theirs": worker},
    }
    ours, theirs = Times([1.0] * 5, [2.0] * 5, [2**20] * 5), Times([1.25] * 5, [3.0] * 5)
    measured = MeasuredCase(CASES[0], ours, theirs, error=2e-6)
    failed = FailedCase(CASES[1], "theirs: out of memory")
    report = to_report([measured], [failed], hardware, LIMITS)
    assert json.loads(json.dumps(report)) == report
    text = to_markdown(report)
    assert "a processor, 2 cores" in text and "optimised, 1 x 512 x 512: theirs: out of" in text
    row = next(line for line in text.splitlines() if "DMNet R-50-D8" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        *("DMNet R-50-D8", "forward pass", "1 x 512 x 512", "1.000", "1.250", "1.25"),
        *("1.25 to 1.25", "faster", "1.50 (1.50 to 1.50)", "5", "2e-06", "1 / -"),
    ]


@pytest.mark.parametrize(
    ("device", "absent"),
    [("cuda", set()), ("cpu", {"forward_bf16", "train_step_amp", "train_step_bf16"})],
)
def test_a_device_is_measured_in_what_it_has(device: str, absent: set[str]) -> None:
    assert set(KINDS) - set(kinds_on(device)) == absent
