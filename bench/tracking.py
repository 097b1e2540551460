"""`python -m bench.tracking`: does a tracking server that is away slow a job? docs/mlflow.md.

The same short training, each time in a fresh process, in turn with no server set, with an address
that refuses, with one that accepts and never answers, and with one from which nothing comes back.
Each round has all four, in an order that changes; ratios are taken within a round. That jobs open
no connection at all is what tests/workflow/test_no_connection.py shows.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tabulate import tabulate

from bench.commands import Taken, call
from bench.peer import ROOT, BenchError
from bench.statistics import median_interval, ratios
from dmnet.files import sha256_file, write_json
from pipeline.experiments import Run, build_experiment

LIMIT = 1.01  # a job may take so many times as long
NONE = "no server set"
BLACKHOLE = "http://192.0.2.1:5000"  # TEST-NET-1 of RFC 5737: no such machine


@contextmanager
def servers() -> Iterator[dict[str, str | None]]:
    """What MLFLOW_TRACKING_URI is in each case."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but not listening: a connection is refused
        yield {
            NONE: None,
            "refuses": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "accepts and never answers": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "nothing comes back": BLACKHOLE,
        }


def prepare(folder: Path, preset: str) -> Run:
    """Configuration and data of DMNet's run in Table 2, in `folder`."""
    experiment = build_experiment(preset, 1, ["table2"])
    (cell,) = [cell for cell in experiment.cells if cell.id == "table2/context-aware"]
    run = experiment.runs[cell.measured[0].run_key]
    dataset = run.job.dataset
    write_json(folder / "dataset.json", dataset.model_dump(mode="json"))
    command = ["prepare", "--dataset", str(folder / "dataset.json"), "--sources", "-"]
    command += ["--folder", str(folder / dataset.name)]
    call([sys.executable, "-m", "dmnet", *command], folder, PYTHONPATH=str(ROOT))
    write_json(folder / "config.json", run.job.model_dump(mode="json"))
    return run


def train(run: Run, folder: Path, uri: str | None) -> tuple[Taken, str]:
    """A training as the rule starts it, and the SHA-256 of the weights it ends with."""
    run_dir = folder / "runs" / run.key
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.mkdir(parents=True)
    shutil.copy(folder / "config.json", run_dir)
    job = [sys.executable, "-m", "dmnet", "train", "--config", str(run_dir / "config.json")]
    job += ["--data", str(folder / run.job.dataset.name), "--label", run.key]
    command = [sys.executable, "-m", "pipeline.attempt", str(folder / "train.log"), *job]
    environment = {"PYTHONPATH": str(ROOT)}
    if uri is not None:
        environment["MLFLOW_TRACKING_URI"] = uri
    taken = call(command, folder, **environment)
    return taken, sha256_file(run_dir / "weights.pt")


def measure(rounds: int, preset: str) -> dict[str, list[Taken]]:
    """Raises BenchError if the weights are not the same in every case."""
    times_by_case: dict[str, list[Taken]] = {}
    weights = set()
    with tempfile.TemporaryDirectory(prefix="tracking-") as name, servers() as cases:
        folder = Path(name)
        run = prepare(folder, preset)
        train(run, folder, None)  # reads everything from the disk once
        order = list(cases)
        for number in range(rounds):
            for case in order:
                taken, digest = train(run, folder, cases[case])
                times_by_case.setdefault(case, []).append(taken)
                weights.add(digest)
            order = order[1:] + order[:1] if number % 2 else order[::-1]
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    if len(weights) != 1:
        raise BenchError(f"the weights differ: {', '.join(sorted(weights))}")
    return times_by_case


def render(times_by_case: dict[str, list[Taken]]) -> str:
    rows = []
    for case, taken in times_by_case.items():
        row = [case, f"{statistics.median(one.wall for one in taken):.2f}"]
        for clock in ("wall", "processor"):
            ours = [getattr(one, clock) for one in times_by_case[NONE]]
            times = ratios([getattr(one, clock) for one in taken], ours)
            low, high = median_interval(times)
            row.append("" if case == NONE else f"{_ratio(times)} ({low:.3f}-{high:.3f})")
        rows.append(row)
    headers = ["the tracking server", "s", "wall-clock time", "processor time"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def _ratio(times: list[float]) -> str:
    return f"{statistics.median(times):.3f}"


def verdicts(times_by_case: dict[str, list[Taken]]) -> list[str]:
    """Of each case: within the limit, beyond it, or not told by so few or so noisy rounds."""
    lines = []
    for case, taken in times_by_case.items():
        if case == NONE:
            continue
        times = ratios([one.wall for one in taken], [one.wall for one in times_by_case[NONE]])
        low, high = median_interval(times)
        if len(times) < 5:
            lines.append(f"{case}: not told by {len(times)} rounds")
            continue
        told = "within" if high <= LIMIT else "beyond" if low > LIMIT else "not told apart from"
        lines.append(f"{case}: {told} {LIMIT - 1:.0%} of wall-clock time")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.tracking", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--preset", default="smoke", help="at which Table 2's DMNet is trained")
    parser.add_argument("--json", type=Path, help="where to write every measurement")
    options = parser.parse_args()
    try:
        times_by_case = measure(options.rounds, options.preset)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        times = {case: [vars(one) for one in taken] for case, taken in times_by_case.items()}
        options.json.write_text(json.dumps(times, indent=2) + "\n")
    print(render(times_by_case), *verdicts(times_by_case), sep="\n- ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
