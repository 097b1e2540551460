"""What was counted or timed without training."""

from __future__ import annotations

from pathlib import Path

from pipeline.experiments import Experiment
from pipeline.inspection.show.evaluation import protocol_text
from pipeline.inspection.show.number import metric_name
from pipeline.inspection.show.text import Lines, file_here, measured_by
from pipeline.reports.build import device_text
from pipeline.results.cells import CellResult
from pipeline.results.schemas import Counted, Timed


def profile_lines(experiment: Experiment, result: CellResult, root: Path) -> Lines:
    """What was counted, in which unit, at which input size."""
    profile, spec = result.cell.profile, result.cell.spec.profile
    assert profile is not None and spec is not None
    sharing = [c.id for c in experiment.cells if c.profile and c.profile.key == profile.key]
    height, width = profile.config.input_size
    lines = [
        ("cells", ", ".join(sharing)),
        ("profile", file_here(profile.path, root)),
        ("measure", spec.measure),
        ("unit", f"{spec.per:,} (the count is divided by it)"),
        ("input", f"{height} x {width} (height x width), full model width at every preset"),
        ("log", file_here(f"logs/counts/{profile.key}.log", root)),
    ]
    counted = result.measurement
    if not isinstance(counted, Counted):
        return [*lines, ("count", "pending")]
    return [*lines, ("count", f"{counted.number(spec.measure):,}"), *measured_by(counted.code)]


def speed_lines(experiment: Experiment, result: CellResult, root: Path) -> Lines:
    """What was timed, on which device, at the sizes of the preset."""
    speed, spec = result.cell.speed, result.cell.spec.speed
    assert speed is not None and spec is not None
    sharing = [c.id for c in experiment.cells if c.speed and c.speed.key == speed.key]
    config = speed.config
    lines = [
        ("cells", ", ".join(sharing)),
        ("measurement", file_here(speed.path, root)),
        ("photograph", _size(config.image_size)),
        ("protocol", protocol_text(config.inference)),
        (
            "training step",
            f"{config.batch_size} crops of {_size(config.crop_size)} on one device, "
            f"{config.precision}",
        ),
        ("log", file_here(f"logs/speed/{speed.key}.log", root)),
    ]
    timed = result.measurement
    if not isinstance(timed, Timed):
        return [*lines, (metric_name(result.cell), "pending")]
    return [*lines, ("measured on", device_text(timed)), *measured_by(timed.code)]


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} (height x width)"
