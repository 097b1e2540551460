"""`python -m bench`: measure ours beside the reference; writes reports/bench.*, and on a GPU
docs/gpu/bench-CARD.*."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bench.cases import KINDS, MODELS, Case, cases_on, kinds_on
from bench.limits import measure_limits
from bench.peer import ROOT, BenchError, Peer
from bench.report import in_seconds, machine, result, to_markdown, to_report
from bench.run import FailedCase, MeasuredCase, measure_cases
from dmnet.devices import pick_device
from dmnet.errors import DMNetError
from dmnet.files import write_json, write_text

log = logging.getLogger("bench")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    about = "its virtual environment; default: this one, if mmsegmentation can be imported in it"
    parser.add_argument("--reference", type=Path, help=about)
    parser.add_argument("--quick", action="store_true", help="half the image sides, few rounds")
    parser.add_argument("--model", choices=MODELS, action="append", help="only this; repeatable")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this; repeatable")
    parser.add_argument("--seconds", type=float, help="for each measurement (20; --quick: 5)")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="(every core)"
    )
    parser.add_argument("--output", type=Path, help="folder (reports; on a GPU docs/gpu)")
    return parser.parse_args()


def chosen_cases(options: argparse.Namespace, device: torch.device) -> list[Case]:
    """What the options ask for; what this device cannot do is left out, and a line says so."""
    asked = [
        case.halved() if options.quick else case
        for case in cases_on(device.type)
        if case.model in (options.model or MODELS) and case.kind in (options.kind or KINDS)
    ]
    there = kinds_on(device.type)
    for kind in dict.fromkeys(case.kind for case in asked if case.kind not in there):
        log.info("%s: left out; for GPUs", KINDS[kind])
    cases = [case for case in asked if case.kind in there]
    if not cases:
        raise BenchError(
            "--model and --kind leave nothing to measure on this device; leave one of them out"
        )
    return cases


def run(options: argparse.Namespace) -> None:
    device = pick_device()
    cases = chosen_cases(options, device)
    python = reference_python(options.reference)
    seconds = options.seconds or (5.0 if options.quick else 20.0)
    logs, site = ROOT / "logs" / "bench", ROOT / "tests" / "reference" / "site"
    threads = options.threads
    limits = measure_limits(device, threads, logs)  # first, while nothing else is on the device
    with (
        Peer("ours", Path(sys.executable), "bench.ours", threads, logs / "ours.log") as ours,
        Peer("theirs", python, "bench.theirs", threads, logs / "theirs.log", site) as theirs,
    ):
        both = ours.ask("machine"), theirs.ask("machine")
        if both[0]["device"] != both[1]["device"]:
            raise BenchError(f"ours runs on {both[0]['device']}, theirs on {both[1]['device']}")
        measured: list[MeasuredCase] = []
        failed: list[FailedCase] = []
        for row in measure_cases(cases, ours, theirs, seconds, device.type):
            if isinstance(row, FailedCase):
                failed.append(row)
                log.info("not measured: %s: %s", row.case.title, row.reason)
            else:
                measured.append(row)
            written = write(to_report(measured, failed, machine(*both), limits), options.output)
            if isinstance(row, FailedCase):
                continue
            shown = result(row)
            log.info(
                "%s: ours %s s, reference %s s, ratio %.2f (%s)",
                row.case.title,
                in_seconds(shown["elapsed"]["ours"]),
                in_seconds(shown["elapsed"]["theirs"]),
                shown["elapsed"]["ratio"],
                shown["verdict"],
            )
    log.info("%s", written)
    if failed:
        raise BenchError(f"{len(failed)} of {len(cases)} rows were not measured: {written}")


def reference_python(folder: Path | None) -> Path:
    """Raises BenchError where the reference is not there."""
    if folder is None:
        if find_spec("mmseg") is None:
            raise BenchError(
                "mmsegmentation cannot be imported here; give --reference DIR (made by "
                "tests/reference/install.sh DIR), or put its unpacked wheels on PYTHONPATH"
            )
        return Path(sys.executable)
    python = folder.absolute() / "bin" / "python"
    if not python.exists():
        raise BenchError(f"{python}: missing; run tests/reference/install.sh {folder}")
    return python


def write(report: dict[str, Any], folder: Path | None) -> Path:
    """Write the rows so far, after every row, so that an early end loses nothing."""
    card = report["machine"]["ours"]["device"]
    name = "bench" if card == "CPU" else f"bench-{re.sub('[^a-z0-9]+', '-', card.lower())}"
    folder = folder or ROOT / ("reports" if card == "CPU" else "docs/gpu")
    write_json(folder / f"{name}.json", report)
    write_text(folder / f"{name}.md", to_markdown(report))
    return folder / f"{name}.md"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run(arguments())
    except DMNetError as error:
        sys.exit(f"error: {error}")
