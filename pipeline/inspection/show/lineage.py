"""Where one number comes from: from the report down to weights, data, code and every setting."""

from __future__ import annotations

import difflib
import shlex
from pathlib import Path

from pipeline import paths
from pipeline.errors import SpecError
from pipeline.experiments import Cell, Experiment
from pipeline.experiments.cells import MeasuredCell
from pipeline.inspection.show.evaluation import evaluation_lines, release_lines
from pipeline.inspection.show.measurements import measurement_lines
from pipeline.inspection.show.number import number_lines
from pipeline.inspection.show.settings import settings_table
from pipeline.inspection.show.text import block
from pipeline.inspection.show.training import run_lines
from pipeline.results.cells import read_cell


def render_show(experiment: Experiment, cell_id: str, root: Path = Path(".")) -> str:
    """The lineage of the cell, for people; what is pending says so.

    Give the experiment of all tables: only that knows every cell that shares a run. Raises
    SpecError for an unknown cell, ResultError or RunError for a result that is damaged or foreign.
    """
    cell = find_cell(experiment, cell_id)
    result = read_cell(cell, experiment, root)
    title = f"Cell {cell.id} at preset {experiment.preset_name}"
    blocks = [block(title, number_lines(experiment, result))]
    if isinstance(cell, MeasuredCell):
        title, _ = cell.titles
        lines = measurement_lines(experiment, cell, result, root)
        blocks.append(block(f"{title} {cell.job.key}", lines))
    for evaluation in cell.measured:
        if evaluation.folder == "released":
            release = experiment.releases[evaluation.run_key]
            title = f"Released checkpoint {release.job.run.checkpoint.name}"
            lines = release_lines(release, result, root)
        else:
            run = experiment.runs[evaluation.run_key]
            title = f"Seed {run.job.run.seed}: run {run.key}"
            lines = run_lines(experiment, cell, run, root)
        measured = next((r for r in result.measured if r.evaluation == evaluation), None)
        blocks.append(block(title, lines + evaluation_lines(cell, evaluation, measured, root)))
    command = (
        f"snakemake --cores all {paths.report(cell.table)} "
        f"--config preset={shlex.quote(experiment.preset_name)} seeds={experiment.seeds}"
    )
    blocks.append(block("To repeat it", [("command", command)]))
    blocks.append(settings_table(cell.settings))
    return "\n\n".join(blocks)


def find_cell(experiment: Experiment, cell_id: str) -> Cell:
    """Raises SpecError with near matches and where the names stand."""
    cells = {cell.id: cell for cell in experiment.cells}
    if cell_id in cells:
        return cells[cell_id]
    table, _, name = cell_id.rpartition("/")
    near = [known for known, cell in cells.items() if cell.name == name]
    near += difflib.get_close_matches(cell_id, cells, n=3, cutoff=0.6)
    if near:
        expected = f"did you mean {' or '.join(dict.fromkeys(near))}?"
    elif table in experiment.tables:
        expected = f"expected one of {', '.join(c.id for c in experiment.cells_of(table))};"
    else:
        expected = f"expected TABLE/CELL with a table of {', '.join(experiment.tables)};"
    raise SpecError(
        f"cell {cell_id!r}: unknown; {expected} `python -m pipeline plan TABLE` lists the trained "
        "ones, and params/tables/TABLE.yaml names all after `cell:`"
    )
