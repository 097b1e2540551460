"""Sections of `reports/bench.md`: beside what the machine and the loader can do."""

from __future__ import annotations

import math
from typing import Any

from tabulate import tabulate

from bench.cases import IN_HALF, KINDS, Case
from bench.limits import Limits


def machines_share(cases: list[Case], report: dict[str, Any]) -> list[str]:
    """How close each network comes to the rate of large dense products."""
    limits = Limits(**report["limits"])
    rows = []
    for case, row in zip(cases, report["results"], strict=True):
        if row["flops"] is None:
            continue
        rate = their_rate = limits.tf32 or limits.fp32
        if case.kind in IN_HALF:
            assert limits.bf16 is not None  # or the case was left out
            rate = their_rate = limits.bf16
        ours, theirs = (row["flops"] / row["elapsed"][side] for side in ("ours", "theirs"))
        shares = [f"{ours / rate:.0%}", f"{theirs / their_rate:.0%}"]
        done = [f"{count / 1e9:.0f}" for count in (row["flops"], ours, theirs)]
        rows.append([case.model_title, KINDS[case.kind], case.size, *done, *shares])
    if not rows:
        return []
    headers = ["Model", "What", "Images", "GFLOP", "Ours (GFLOP/s)", "Reference (GFLOP/s)"]
    headers += ["Ours, of the limit", "Reference, of the limit"]
    tf32 = "" if limits.tf32 is None else f", {limits.tf32 / 1e9:.0f} in TF32"
    bf16 = "" if limits.bf16 is None else f" and {limits.bf16 / 1e9:.0f} in bfloat16"
    disk = "" if limits.disk is None else f"; reading a file {limits.disk / 1e9:.1f} GB/s"
    return [
        "## Beside the machine's own limits",
        f"Large dense products run at {limits.fp32 / 1e9:.0f} GFLOP/s in float32{tf32}{bf16}, "
        f"measured in this run; memory is copied at {limits.copy / 1e9:.0f} GB/s{disk}. A share "
        "is of the product's rate in the row's precision: TF32 for float32 where there is one, "
        "bfloat16 for 16 bits. Counted are direct "
        "convolutions and matrix products; Winograd's multiply less, so a row with them may pass "
        "100 %.",
        tabulate(rows, headers, tablefmt="pipe", disable_numparse=True),
    ]


def loaders_share(cases: list[Case], report: dict[str, Any]) -> list[str]:
    """Whether loading keeps up with the training steps of this machine."""
    rate = {
        kind: [
            (case, row["images_per_second"]["ours"])
            for case, row in zip(cases, report["results"], strict=True)
            if case.kind.startswith(kind)
        ]
        for kind in ("data", "train_step")
    }
    if not all(rate.values()):
        return []
    ((loader, loaded),) = rate["data"]
    pixels = loader.height * loader.width
    rows = []
    for case, trained in rate["train_step"]:
        needed = trained * case.height * case.width / pixels
        processes = math.ceil(needed / loaded)
        rows.append(
            [case.title, f"{trained:.2f}", f"{needed:.2f}", f"{needed / loaded:.0%}", processes]
        )
    headers = ["Step", "Images/s", f"As crops of {loader.height} x {loader.width}"]
    headers += ["Of one loader process", "Processes needed"]
    return [
        "## The loader beside the training step",
        f"One process loads {loaded:.1f} crops of {loader.height} x {loader.width} pixels a second "
        "(the row above); what a training step takes, counted in such crops:",
        tabulate(rows, headers, tablefmt="pipe", disable_numparse=True),
    ]
