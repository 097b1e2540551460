"""`python -m bench.scale`: plan, dry run and a job's start in large experiments; docs/scale.md.

Every number is of a fresh process: wall-clock seconds, processor seconds (of the process and its
children) and the largest resident memory. A job's start is what a cluster's job does before its
command: Snakemake starts, parses the workflow, and begins the job. The SLURM plugin does so twice,
one within the other; tests/workflow/test_slurm.py measures that on a real SLURM.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

from bench.commands import Taken, call, machine, write_document
from bench.peer import ROOT, BenchError
from bench.study import write_study
from dmnet.files import write_text
from pipeline import paths

SIZES = (100, 500, 1000, 2500, 5000)
LIMITS = {"plan": 10.0, "dry run": 60.0, "job": 4.0}  # seconds, at the largest size
MEMORY_LIMIT = 1024.0  # MB, of the plan
PROBE = """
from pipeline.workflow import Study
study = Study({})
study.jobs.hints.write(study.jobs.experiment)  # as Snakemake does before the first job
print(next(reversed(study.jobs.experiment.runs)))
"""


def measure(cells: int, folder: Path) -> dict[str, Taken]:
    """plan, dry run, job."""
    write_study(folder, cells)
    python = sys.executable
    snakemake = [python, "-m", "snakemake"]
    taken = {
        "plan": call([python, "-m", "pipeline", "plan"], folder),
        "dry run": call([*snakemake, "-n", "reports"], folder),
    }
    process = subprocess.run(
        [python, "-c", PROBE], cwd=folder, capture_output=True, text=True, check=True
    )
    key = process.stdout.strip()
    # The files that the job would find; its command is replaced by one that does nothing.
    for name in (paths.config(key), paths.data_manifest("voc2012-procedural")):
        write_text(folder / name, "{}")
    job = [*snakemake, "--cores", "1", "--mode", "remote", "--target-jobs", f"train:key={key}"]
    options = ["--allowed-rules", "train", "--force", "--nolock", "--no-hooks"]
    stub = f"touch {paths.trained(key)} #"
    taken["job"] = call([*job, *options, "--ignore-incomplete"], folder, DMNET_STEP=_shell(stub))
    return taken


def _shell(command: str) -> str:
    return f"sh -c '{command}'"


def render(measured: dict[int, dict[str, Taken]]) -> str:
    rows = [
        [
            f"{cells:,}",
            f"{round(cells * 0.4):,}",
            *(f"{taken[what].wall:.1f} ({taken[what].processor:.1f})" for what in LIMITS),
            f"{taken['plan'].memory:.0f}",
            f"{taken['dry run'].memory:.0f}",
        ]
        for cells, taken in measured.items()
    ]
    headers = ["cells", "runs", "plan, s", "`snakemake -n`, s", "a job's start, s"]
    headers += ["plan, MB", "`snakemake -n`, MB"]
    largest = measured[max(measured)]
    verdicts = [
        f"- {what}: {largest[what].wall:.1f} s of wall-clock time ({largest[what].processor:.1f} s "
        f"of the processor), limit {limit:g} s: {_within(largest[what], limit)}"
        for what, limit in LIMITS.items()
    ]
    memory = largest["plan"].memory
    within = "within" if memory < MEMORY_LIMIT else "beyond"
    verdicts.append(f"- memory of the plan: {memory:.0f} MB, limit {MEMORY_LIMIT:.0f} MB: {within}")
    table = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)
    return table + f"\n\nAt {max(measured):,} cells:\n\n" + "\n".join(verdicts) + "\n"


def _within(taken: Taken, limit: float) -> str:
    if taken.wall < limit:
        return "within"
    return "beyond on this busy machine" if taken.processor < limit else "beyond"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--cells", type=int, action="append", help="only so many; repeatable")
    options = parser.parse_args()
    try:
        measured = {}
        for cells in options.cells or SIZES:
            with tempfile.TemporaryDirectory(prefix="study-") as folder:
                measured[cells] = measure(cells, Path(folder))
            print(render(measured), flush=True)
        if not options.cells:
            text = f"On {machine()}; processor seconds in brackets.\n\n{render(measured)}"
            write_document(ROOT / "docs" / "scale.md", "bench.scale", text)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
