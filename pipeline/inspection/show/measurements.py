"""What was counted or timed without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.experiments import Experiment
from pipeline.inspection.show.evaluation import protocol_text
from pipeline.inspection.show.number import metric_name
from pipeline.inspection.show.text import Lines, code_text, file_here
from pipeline.reports.build import device_text
from pipeline.results.of_cells import CellResult
from pipeline.results.schemas import Counted, read_result_file


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
        ("log", file_here(paths.log(profile.path), root)),
    ]
    if result.profiled is None:
        return [*lines, ("count", "pending")]
    content = read_result_file(root / profile.path, Counted)
    return [*lines, ("count", f"{content[spec.measure]:,}"), *_code(content)]


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
        ("log", file_here(paths.log(speed.path), root)),
    ]
    if result.speed is None:
        return [*lines, (metric_name(result.cell), "pending")]
    return [*lines, ("measured on", device_text(result.speed)), *_code(result.speed)]


def _code(content: dict[str, Any]) -> Lines:
    """Not recorded by earlier versions."""
    return [("measured by", code_text(content))] if "code" in content else []


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} (height x width)"
