"""A synthetic experiment of any size: tables whose cells share runs, in a copy of this checkout.

Every run is one of 100 heads with one of many recipes, measured under up to three protocols, so
that 5,000 cells rest on 2,000 runs. Nothing in it can be told from the paper's tables by the code.
"""

from __future__ import annotations

import shutil
import subprocess
from itertools import islice, product
from pathlib import Path
from typing import Any

import yaml

from bench.peer import ROOT, BenchError

CELLS_PER_TABLE = 100
PER_ROW = 5
PROTOCOLS = ("single-scale", "flip", "ms-flip")
RUNS_PER_CELL = 0.4  # 5,000 cells share 2,000 runs
HEADS = 100  # as many models, whose arithmetic a plan has to count
KERNELS = ((1,), (1, 3), (1, 3, 5), (1, 3, 5, 7), (3,), (3, 5), (3, 5, 7), (5,), (5, 7), (7,))
RATES = ((1, 2, 3, 4), (1, 3, 5, 7), (2, 4, 8, 12), (6, 12, 18, 24), (6, 12, 24, 36))


def heads() -> list[tuple[str, dict[str, Any]]]:
    """Models of params/models, and what is set over them."""
    configurations: list[tuple[str, dict[str, Any]]] = []
    for kernels, fusion, stage in product(KERNELS, (True, False), (3, 4, 5)):
        settings = {"head.kernel_sizes": list(kernels), "head.fusion": fusion}
        configurations.append(("dmnet", settings | {"head.context_stage": stage}))
    for kernels, depthwise in product(KERNELS, (True, False)):
        settings = {"head.kernel_sizes": list(kernels), "head.depthwise": depthwise}
        configurations.append(("multi_kernel", settings))
    for rates, depthwise, fusion in product(RATES, (True, False), (True, False)):
        settings = {"head.dilations": list(rates), "head.depthwise": depthwise}
        configurations.append(("dilated", settings | {"head.fusion": fusion}))
    return list(islice(configurations, HEADS))


def cell(number: int, runs: int) -> dict[str, Any]:
    """Cells go round the runs, and take the next protocol on every round."""
    run = number % runs
    model, settings = heads()[run % HEADS]
    recipe = {"recipe.weight_decay": round(1e-4 * (1 + run // HEADS), 6)}
    return {
        **{"cell": f"cell-{number}", "model": model, "inference": PROTOCOLS[number // runs]},
        **{"published": 70.0 + number % 100 / 10, "with": settings | recipe},
    }


def tables(cells: int, runs: int | None = None) -> dict[str, dict[str, Any]]:
    """The contents of params/tables. Raises BenchError for more cells than the runs can serve."""
    runs = runs or max(1, round(cells * RUNS_PER_CELL))
    if not runs <= cells <= runs * len(PROTOCOLS):
        raise BenchError(f"{cells} cells on {runs} runs: expected 1 to {len(PROTOCOLS)} per run")
    columns = [str(number) for number in range(PER_ROW)]
    content = {}
    for first in range(0, cells, CELLS_PER_TABLE):
        numbers = range(first, min(first + CELLS_PER_TABLE, cells))
        rows = [
            {"Runs": f"from {start}"}
            | {c: cell(n, runs) for c, n in zip(columns, numbers[at:], strict=False)}
            for at, start in list(enumerate(numbers))[::PER_ROW]
        ]
        content[f"study{first // CELLS_PER_TABLE:03}"] = {
            **{"title": f"Cells from {first}", "source": "nobody: a synthetic study"},
            **{"columns": ["Runs", *columns], "rows": rows},
            "defaults": {"dataset": "voc2012aug", "recipe": "paper-voc"},
        }
    return content


def write_study(folder: Path, cells: int, runs: int | None = None) -> None:
    """A copy of this checkout's files in `folder`, with these tables in place of its own."""
    listing = ("git", "ls-files", "-co", "--exclude-standard", "-z")
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        left_out = name.startswith(("tests/", "params/tables/", "params/figures/", "runs/"))
        if left_out or not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / "params" / "tables").mkdir()
    for name, table in tables(cells, runs).items():
        path = folder / "params" / "tables" / f"{name}.yaml"
        path.write_text(yaml.dump(table, Dumper=_dumper(), sort_keys=False))
    (folder / "params" / "claims.yaml").write_text("claims: []\n")  # the paper's are about its own


def _dumper() -> type:
    return getattr(yaml, "CSafeDumper", yaml.SafeDumper)
