"""`reports/bench.md` and `reports/bench.json`."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, fields
from statistics import median
from typing import Any

import torch
from tabulate import tabulate

from bench.cases import KINDS, LIMIT, LIMIT_GPU, LIMIT_HALF, MODELS, Case
from bench.limits import Limits, flops
from bench.run import FailedCase, MeasuredCase
from bench.shares import loaders_share, machines_share
from bench.statistics import CONFIDENCE, median_interval, ratios
from dmnet.checkout import code_version
from dmnet.provenance import device_name

MARGIN = 0.05  # what may at most be lost where we count as fast as the reference


def machine(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The hardware and what both sides' processes say of theirs."""
    return {
        "cpu": device_name(torch.device("cpu")),
        "cores": len(os.sched_getaffinity(0)),
        "platform": platform.platform(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "ours": ours,
        "theirs": theirs,
    }


def to_report(
    measured: list[MeasuredCase], failed: list[FailedCase], hardware: dict[str, Any], limits: Limits
) -> dict[str, Any]:
    """The content of `bench.json`; seconds and ratios are medians over the rounds."""
    return {
        "machine": hardware,
        "limits": limits._asdict(),
        "code": code_version(),
        "confidence": CONFIDENCE,
        "results": [result(row) for row in measured],
        "failed": [
            {**row.case.to_json(), "title": row.case.title, "reason": row.reason} for row in failed
        ],
    }


def result(measured: MeasuredCase) -> dict[str, Any]:
    ours, theirs = measured.ours, measured.theirs
    elapsed = compared(ours.seconds, theirs.seconds)
    return {
        **measured.case.to_json(),
        "reference": MODELS[measured.case.model].reference,
        "elapsed": elapsed,
        "cpu": compared(ours.cpu_seconds, theirs.cpu_seconds),
        "images_per_second": {
            side: measured.case.batch / elapsed[side] for side in ("ours", "theirs")
        },
        "peak_bytes": {"ours": largest(ours.peak_bytes), "theirs": largest(theirs.peak_bytes)},
        "flops": flops(measured.case),
        "verdict": verdict(*elapsed["interval"]),
        "error": measured.error,
        "rounds": {"ours": asdict(ours), "theirs": asdict(theirs)},
    }


def largest(peaks: list[int | None]) -> int | None:
    return max((peak for peak in peaks if peak is not None), default=None)


def mebibytes(peak: int | None) -> str:
    return "-" if peak is None else f"{peak / 2**20:.0f}"


def in_seconds(value: float) -> str:
    """To the millisecond, or to three digits where that is finer: a GPU takes milliseconds."""
    return f"{value:.3f}" if value >= 0.1 else f"{value:#.3g}"


def compared(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """Medians in seconds, and the ratio theirs / ours with its interval."""
    times = ratios(theirs, ours)
    return {
        "ours": median(ours),
        "theirs": median(theirs),
        "ratio": median(times),
        "interval": list(median_interval(times)),
    }


def verdict(low: float, high: float) -> str:
    """In a word, what the interval of theirs / ours shows."""
    if low > 1:
        return "faster"
    if high < 1:
        return "slower"
    return "as fast" if low >= 1 - MARGIN else "unclear"


def to_markdown(report: dict[str, Any]) -> str:
    cases = [
        Case(**{field.name: row[field.name] for field in fields(Case)}) for row in report["results"]
    ]
    rows = [
        [
            case.model_title,
            KINDS[case.kind],
            case.size,
            in_seconds(row["elapsed"]["ours"]),
            in_seconds(row["elapsed"]["theirs"]),
            f"{row['elapsed']['ratio']:.2f}",
            "{:.2f} to {:.2f}".format(*row["elapsed"]["interval"]),
            row["verdict"],
            "{:.2f} ({:.2f} to {:.2f})".format(row["cpu"]["ratio"], *row["cpu"]["interval"]),
            len(row["rounds"]["ours"]["seconds"]),
            f"{row['error']:.0e}",
            " / ".join(mebibytes(row["peak_bytes"][side]) for side in ("ours", "theirs")),
        ]
        for case, row in zip(cases, report["results"], strict=True)
    ]
    headers = ["Model", "What", "Images", "Ours (s)", "Reference (s)", "Reference / ours"]
    headers += [f"{report['confidence']:.0%} interval", "We are", "CPU time", "Rounds"]
    headers += ["Difference", "Memory (MiB), ours / reference"]
    table = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)
    parts = ["# Speed beside mmsegmentation 1.2.2", introduction(report), table]
    if report["failed"]:
        lines = [f"- {row['title']}: {row['reason']}" for row in report["failed"]]
        parts += [f"Not measured ({len(lines)}):", "\n".join(lines)]
    parts.append(EXPLANATION)
    parts += machines_share(cases, report) + loaders_share(cases, report)
    return "\n\n".join(parts) + "\n"


def introduction(report: dict[str, Any]) -> str:
    hardware, commit = report["machine"], report["code"]["commit"]
    ours, theirs = hardware["ours"], hardware["theirs"]
    versions = f"torch {ours['torch']}"
    if ours["torch"] != theirs["torch"]:
        versions += f" (reference: {theirs['torch']})"
    lines = [
        f"- Device: {ours['device'] if ours['device'] != 'CPU' else hardware['cpu']}",
        f"- Host: {hardware['cpu']}, {hardware['cores']} cores, {hardware['platform']}, "
        f"load average at the end {hardware['load_average'][0]}",
        f"- {versions}, {ours['threads']} threads, float32"
        + ("" if ours["device"] == "CPU" else " (convolutions in TF32 on both sides)"),
        f"- Commit: {commit[:12] if commit else 'unknown'}"
        + (", with changes" if report["code"]["modified"] else ""),
    ]
    return "\n".join(lines)


EXPLANATION = f"""\
Both sides have the same weights, inputs and number of threads, each in a process of its own, and
are measured in turn: a round is one run of either. Seconds are medians over the rounds; the ratio
is the median of the rounds' ratios, so what else the machine does weighs on both alike, and above 1
we are faster. The interval holds that median with the probability given. We are faster if all of it
is above 1, slower if all of it is below, as fast if none of it is below {1 - MARGIN:g}; else it is
unclear, and more `--seconds` make it narrower. CPU time is the same ratio for the seconds that all
cores together worked, which tells more where other work shares the cores. Before measuring, the
outputs (logits, or the loss without dropout) must differ by at most {LIMIT:g} of their
range (on a GPU, without TF32, {LIMIT_GPU:g}; in 16 bits {LIMIT_HALF:g}). Rows that do not, or
that fail, are listed and cost no other row.

A forward pass ends with the logits at the head's resolution; ours is that of the plain modules or
of the form that `dmnet.optimised` builds from them. Both are in float32, on a GPU with PyTorch's
default of TF32 in convolutions; beside ours in bf16 the reference autocasts. Ours runs in a process
that keeps large blocks of memory, as `python -m dmnet` does.
A training step is forward pass, losses, backward pass and SGD; loading and normalising images is in
neither. In fp16 and bf16 both sides autocast and scale the loss alike; no recipe trains in bf16.
An evaluation goes from a decoded picture of that size to its label map: resized to six
scales, mirrored, predicted, averaged; what is compared are the mean probabilities. A training batch
is read from PNG files of 1024 x 2048 pixels (generated, and cached by the system), scaled, cropped
to the size given, mirrored, distorted and normalised in one process without loader processes on
either side; what is compared is a file's content at three quarters of its size, as the sides draw
other random numbers. Memory is the most that a side's process, everything in it, occupied while it
was measured (on a GPU: that PyTorch allocated); ours keeps large blocks between layers.
"""
