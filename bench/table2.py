"""`python -m bench.table2`: where the seconds of Table 2 at `mini` go; docs/seconds.md.

In a fresh clone of the last commit: Table 2 from nothing, the same command again, a dry run of
everything and the plan. A job's seconds are Snakemake's own record of it; what a training spends on
iterations, validations and saving is what it logs at its end, and the rest is its start (Python,
PyTorch, the model, the first batches).
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tabulate import tabulate

from bench.commands import Taken, call, machine, write_document
from bench.peer import ROOT, BenchError

REPORT = "reports/table2.md"
PHASES = ("iterations", "validations", "saving")
LINE = re.compile(r"seconds of this attempt: " + ", ".join(rf"{p} ([\d.]+)" for p in PHASES))
GOAL = 120.0  # seconds, of the whole table on two cores


@dataclass
class Breakdown:
    """Seconds of jobs that run side by side, added up; `count` of jobs."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    count: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, seconds: float) -> None:
        self.seconds[what] += seconds
        self.count[what] += 1


def clone(folder: Path) -> None:
    command = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{ROOT}: not a git clone that can be cloned ({done.stderr.strip()})")


def breakdown(folder: Path) -> Breakdown:
    """Of the jobs that were done in `folder`. Raises BenchError where a training logged nothing."""
    parts = Breakdown()
    for record in sorted((folder / ".snakemake" / "metadata").iterdir()):
        output = base64.b64decode(record.name).decode()
        job = json.loads(record.read_text())
        rule, seconds = job["rule"], job["endtime"] - job["starttime"]
        if rule != "train":
            parts.add(rule, seconds)
            continue
        for phase, spent in zip(PHASES, phases(folder, output), strict=True):
            parts.add(f"train: {phase}", spent)
            seconds -= spent
        parts.add("train: start and end", seconds)
    return parts


def phases(folder: Path, output: str) -> list[float]:
    log = folder / "logs" / Path(output).with_suffix(".log")
    match = LINE.search(log.read_text())
    if match is None:
        raise BenchError(f"{log}: does not say what its seconds were spent on; see {__name__}.LINE")
    return [float(value) for value in match.groups()]


def render(parts: Breakdown, taken: dict[str, Taken], cores: int) -> str:
    whole = taken["table"].wall
    outside = whole * cores - sum(parts.seconds.values())
    rows = [
        [what, parts.count[what], f"{seconds:.1f}", f"{100 * seconds / whole / cores:.0f} %"]
        for what, seconds in sorted(parts.seconds.items(), key=lambda entry: -entry[1])
    ]
    share = f"{100 * outside / whole / cores:.0f} %"
    rows.append(["Snakemake, MLflow and DVC, idle cores", "", f"{outside:.1f}", share])
    headers = ["job", "number", "core-seconds", "share"]
    table = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)
    verdict = "within" if whole <= GOAL else "beyond"
    lines = [
        f"- Table 2 at `mini`, from nothing: {_both(taken['table'])}; goal {GOAL:.0f} s: {verdict}",
        f"- asked again, nothing to be done: {_both(taken['again'])}",
        f"- `snakemake -n reports`, every table: {_both(taken['dry run'])}",
        f"- `python -m pipeline plan`, every table: {_both(taken['plan'])}",
    ]
    return "\n".join(lines) + "\n\n" + table + "\n"


def _both(taken: Taken) -> str:
    return f"{taken.wall:.1f} s ({taken.processor:.1f} s of the processor)"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.table2", description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--preset", default="mini", help="another one only prints")
    options = parser.parse_args()
    python, preset = sys.executable, ["--config", f"preset={options.preset}"]
    table = [python, "-m", "snakemake", "--cores", str(options.cores), REPORT, *preset]
    try:
        with tempfile.TemporaryDirectory(prefix="table2-") as temporary:
            folder = Path(temporary) / "clone"
            clone(folder)
            taken = {"table": call(table, folder)}
            parts = breakdown(folder)
            taken["again"] = call(table, folder)
            taken["dry run"] = call([python, "-m", "snakemake", "-n", "reports"], folder)
            taken["plan"] = call([python, "-m", "pipeline", "plan"], folder)
        text = f"On {machine()}, {options.cores} used.\n\n{render(parts, taken, options.cores)}"
        print(text)
        if options.preset == "mini":
            write_document(ROOT / "docs" / "seconds.md", "bench.table2", text)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
