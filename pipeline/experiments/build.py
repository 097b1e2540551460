"""The tables of `params/` -> an experiment."""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path
from typing import cast, get_args

from pipeline.errors import SpecError
from pipeline.experiments.experiment import Experiment
from pipeline.experiments.resolver import CellResolver
from pipeline.spec.params import Params
from pipeline.spec.tables import WeightsSource

PARAMS = Path("params")
MAX_SEEDS = 100  # runs of each recipe, all resolved before anything starts: 5 s at preset paper


def build_experiment(
    preset_name: str,
    seeds: int = 1,
    tables: Iterable[str] | None = None,
    params: Params | None = None,
    weights_source: str = "trained",
    cells: Container[str] | None = None,
) -> Experiment:
    """Resolve the cells of `tables` (all by default). Raises SpecError or ConfigError.

    cells: only those of these names.
    weights_source: whether cells rest on weights trained here, on released ones, or on both; a cell
    without a released checkpoint is only quoted where nothing is trained.
    """
    if weights_source not in get_args(WeightsSource):
        expected = ", ".join(get_args(WeightsSource))
        raise SpecError(f"config `source` = {weights_source!r}: expected one of {expected}")
    if isinstance(seeds, bool) or not isinstance(seeds, int) or not 1 <= seeds <= MAX_SEEDS:
        raise SpecError(
            f"config `seeds` = {repr(seeds)[:40]}: expected a whole number of at least 1 and at "
            f"most {MAX_SEEDS}"
        )
    params = params or Params(PARAMS)
    names = params.table_names if tables is None else tuple(tables)
    experiment = Experiment(
        preset_name,
        params.preset(str(preset_name)),
        seeds,
        {n: params.table(n) for n in names},
        cast(WeightsSource, weights_source),
    )
    # A test server's figure belongs to the published scale; elsewhere a run is a rehearsal.
    experiment.official = params.official if experiment.preset.judged else ()
    for table, spec in experiment.tables.items():
        for row, column, cell in spec.cells():
            if cells is not None and cell.cell not in cells:
                continue
            resolver = CellResolver(params, experiment, table, cell)
            experiment.cells.append(resolver.resolve(row, column))
            if spec.submission is not None and spec.submission.cell == cell.cell:
                resolver.submit(spec.submission, experiment.cells[-1])
    return experiment
