"""What was counted or timed without training."""

from __future__ import annotations

from pathlib import Path

from pipeline import paths
from pipeline.experiments import Experiment
from pipeline.experiments.cells import MeasuredCell
from pipeline.inspection.show.number import metric_name
from pipeline.inspection.show.text import Lines, file_here, measured_by
from pipeline.reports.build import device_text
from pipeline.results.cells import CellResult
from pipeline.results.schemas import Timed


def measurement_lines(
    experiment: Experiment, cell: MeasuredCell, result: CellResult, root: Path
) -> Lines:
    """What was measured, in which unit, at which sizes; a speed also on which device."""
    sharing = [other.id for other in experiment.cells if cell.job.path in other.inputs]
    lines = [
        ("cells", ", ".join(sharing)),
        (cell.titles[1], file_here(cell.job.path, root)),
        *cell.described,
        ("log", file_here(paths.log(cell.job.path), root)),
    ]
    made = result.measurement
    if made is None:
        return [*lines, ("count" if cell.exact else metric_name(cell), "pending")]
    if isinstance(made, Timed):
        lines.append(("measured on", device_text(made)))
    else:
        lines.append(("count", f"{getattr(made, cell.measurement.measure):,}"))
    return [*lines, *measured_by(made.code)]
