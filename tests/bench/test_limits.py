"""Speeds are shown beside what the machine can do, and the loader's beside the model's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.cases import CASES, Case
from bench.limits import Limits, disk_rate, flops, measure_limits
from bench.report import result
from bench.run import MeasuredCase, Times
from bench.shares import loaders_share, machines_share


def test_flops_are_those_of_direct_convolutions() -> None:
    forward = Case("dmnet", "forward", 1, 512, 512)
    assert flops(forward) == pytest.approx(391e9, rel=0.005)  # as counted in the reference
    wide = Case("dmnet", "forward_optimised", 1, 512, 1024)
    assert flops(wide) == pytest.approx(2 * 391e9, rel=0.005)
    # Forward and two gradients, also of an auxiliary head of 20 GFLOP. Its dynamic filters are one
    # convolution with a group for every channel, which does not count as a dense one.
    step = flops(Case("dmnet", "train_step", 2, 512, 512))
    assert step == pytest.approx(3 * 2 * (391e9 + 20e9), rel=0.005)
    assert flops(Case("dmnet", "data", 4, 512, 1024)) is None


def test_limits_are_measured_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.limits.BLOCK", 2**20)
    threads = torch.get_num_threads()
    limits = measure_limits(torch.device("cpu"), 1, tmp_path)
    assert all(rate is None or rate > 1e6 for rate in limits)
    assert limits.tf32 is None and limits.bf16 is None  # a CPU has none
    assert torch.get_num_threads() == threads
    assert not list(tmp_path.iterdir())


def test_a_disk_that_cannot_be_written_loses_no_report(tmp_path: Path) -> None:
    assert disk_rate(tmp_path / "absent" / "block") is None


def test_sections_compare_with_the_limits_and_the_loader() -> None:
    cases = [Case("dmnet", "forward", 1, 512, 512), Case("bisenetv2", "train_step", 2, 256, 512)]
    cases.append(next(case for case in CASES if case.kind == "data"))
    rows = [
        result(MeasuredCase(case, Times(*[[seconds] * 5] * 2), Times(*[[2.0] * 5] * 2), 0.0))
        for case, seconds in zip(cases, (1.0, 0.5, 1.0), strict=True)
    ]
    report = {"limits": Limits(fp32=400e9, tf32=None, bf16=None, copy=10e9, disk=2e9)._asdict()}
    report["results"] = rows

    _, said, table = machines_share(cases, report)
    assert "400 GFLOP/s in float32" in said and "2.0 GB/s" in said
    forward = [cell.strip() for cell in table.splitlines()[2].strip("|").split("|")]
    assert forward == [
        *("DMNet R-50-D8", "forward pass", "1 x 512 x 512"),
        *("391", "391", "196", "98%", "49%"),
    ]
    assert "400 GFLOP/s in float32, measured" in said
    # On a GPU both compute in bfloat16 where the row is in 16 bits, else in TF32.
    halved = [Case("dmnet", "train_step_bf16", 1, 512, 512)]
    limits = Limits(fp32=400e9, tf32=800e9, bf16=1600e9, copy=10e9, disk=2e9)._asdict()
    _, said, table = machines_share(halved, {"limits": limits, "results": rows[:1]})
    assert "400 GFLOP/s in float32, 800 in TF32 and 1600 in bfloat16" in said
    assert [cell.strip() for cell in table.splitlines()[2].split("|")][-3:] == ["24%", "12%", ""]

    # Four images a second of a quarter of the loaded crop; a loader process has four whole ones.
    _, said, table = loaders_share(cases, report)
    assert "4.0 crops of 512 x 1024" in said
    step = [cell.strip() for cell in table.splitlines()[2].strip("|").split("|")]
    assert step[1:] == ["4.00", "1.00", "25%", "1"]
    assert loaders_share(cases[:2], {**report, "results": rows[:2]}) == []
