"""`python -m bench --reference DIR`: measure ours beside the reference, write reports/bench.*."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import torch

from bench.cases import CASES, GPUS_ONLY, KINDS, MODELS, Case, kinds_on
from bench.limits import measure_limits
from bench.peer import ROOT, BenchError, Peer
from bench.report import in_seconds, machine, result, to_markdown, to_report
from bench.run import measure_cases
from dmnet.errors import DMNetError
from dmnet.files import write_json, write_text
from dmnet.optimised.precision import NO_BF16, has_bf16

log = logging.getLogger("bench")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--reference", type=Path, required=True, help="its virtual environment")
    parser.add_argument("--quick", action="store_true", help="half the image sides, few rounds")
    parser.add_argument("--model", choices=MODELS, action="append", help="only this; repeatable")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this; repeatable")
    parser.add_argument("--seconds", type=float, help="for each measurement (20; --quick: 5)")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="(every core)"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "reports", help="folder (reports)")
    return parser.parse_args()


def chosen_cases(options: argparse.Namespace, device: torch.device) -> list[Case]:
    """What the options ask for, without what this device does not have, which is said."""
    asked = [
        case.halved() if options.quick else case
        for case in CASES
        if case.model in (options.model or MODELS) and case.kind in (options.kind or KINDS)
    ]
    there = kinds_on(device.type, has_bf16(device))
    for kind in dict.fromkeys(case.kind for case in asked if case.kind not in there):
        log.info("%s: left out; %s", KINDS[kind], "for GPUs" if kind in GPUS_ONLY else NO_BF16)
    cases = [case for case in asked if case.kind in there]
    if not cases:
        raise BenchError(
            "--model and --kind leave nothing to measure on this device; leave one of them out"
        )
    return cases


def run(options: argparse.Namespace) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cases = chosen_cases(options, device)
    python = options.reference.absolute() / "bin" / "python"
    if not python.exists():
        raise BenchError(f"{python}: missing; run tests/reference/install.sh {options.reference}")
    seconds = options.seconds or (5.0 if options.quick else 20.0)
    logs, site = ROOT / "logs" / "bench", ROOT / "tests" / "reference" / "site"
    threads = options.threads
    with (
        Peer("ours", Path(sys.executable), "bench.ours", threads, logs / "ours.log") as ours,
        Peer("theirs", python, "bench.theirs", threads, logs / "theirs.log", site) as theirs,
    ):
        both = ours.ask("machine"), theirs.ask("machine")
        if both[0]["device"] != both[1]["device"]:
            raise BenchError(f"ours runs on {both[0]['device']}, theirs on {both[1]['device']}")
        measured = []
        for row in measure_cases(cases, ours, theirs, seconds):
            measured.append(row)
            shown = result(row)
            log.info(
                "%s: ours %s s, reference %s s, ratio %.2f (%s)",
                row.case.title,
                in_seconds(shown["elapsed"]["ours"]),
                in_seconds(shown["elapsed"]["theirs"]),
                shown["elapsed"]["ratio"],
                shown["verdict"],
            )
    limits = measure_limits(device, threads, logs)
    report = to_report(measured, machine(*both), limits)
    write_json(options.output / "bench.json", report)
    write_text(options.output / "bench.md", to_markdown(report))
    log.info("%s", options.output / "bench.md")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run(arguments())
    except DMNetError as error:
        sys.exit(f"error: {error}")
