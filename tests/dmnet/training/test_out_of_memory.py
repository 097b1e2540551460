"""A training that finds no memory says what it needs, and what changes that and no result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dmnet.config import DatasetConfig, JobConfig, RecipeConfig
from dmnet.errors import RunError
from dmnet.footprint import GIB, OVERHEAD, Footprint
from dmnet.training import out_of_memory
from dmnet.training.run import train
from dmnet.training.share import Share, unchanged_divisions
from dmnet.training.step import Stepper


def recipe(**values: Any) -> RecipeConfig:
    plain = {"lr": 0.1, "weight_decay": 0, "iterations": 1, "batch_size": 8, "crop_size": (32, 32)}
    return RecipeConfig.model_validate({**plain, **values})


@pytest.mark.parametrize(
    ("values", "now", "found"),
    [
        ({}, Share(), [(2, 1), (4, 1), (8, 1)]),
        ({}, Share(0, 2), [(4, 1), (8, 1)]),
        # Each accumulated part is normalised by itself: only where the recipe says so.
        ({"bn_parts": 2}, Share(0, 1, 2), [(2, 2), (4, 2)]),
        ({"backbone_bn_parts": 4}, Share(), [(2, 1), (4, 1)]),
        ({"ohem": {"threshold": 0.7, "min_kept": 9, "parts": 2}}, Share(), [(2, 1)]),
        ({"sync_bn": False}, Share(), []),
    ],
)
def test_divisions_that_change_no_result(
    values: dict[str, Any], now: Share, found: list[tuple[int, int]]
) -> None:
    shares = unchanged_divisions(recipe(**values), now)
    assert [(share.processes, share.accumulate) for share in shares] == found


@pytest.mark.parametrize("where", ["training", "validation"])
def test_one_line_with_a_proposal(
    where: str,
    make_job: Callable[..., JobConfig],
    drawn_data: tuple[DatasetConfig, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset, data = drawn_data
    job = make_job(dataset, recipe={"batch_size": 4})

    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    if where == "training":
        monkeypatch.setattr(Stepper, "step", fail)
    else:
        monkeypatch.setattr("dmnet.training.trainer.evaluate", lambda *_: fail())
    with pytest.raises(RunError) as caught:
        train(job, tmp_path / job.run.key, data, tmp_path)
    message = str(caught.value)
    assert "4 crop(s) of 24x24 at once take about 1.5 GiB; no division" in message


@pytest.mark.parametrize(
    ("has", "proposed"),
    [
        (5, "the GPU has 5.0; `execution: {processes: 2}` in the preset, on 2 GPUs, takes 4.0"),
        (3, "the GPU has 3.0; `execution: {processes: 4}` in the preset, on 4 GPUs, takes 2.0"),
        (1, "the GPU has 1.0; no division of the batch changes that"),
    ],
)
def test_the_coarsest_division_that_fits_is_proposed(
    has: int,
    proposed: str,
    make_job: Callable[..., JobConfig],
    drawn_data: tuple[DatasetConfig, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 2 GiB for each crop."""
    job = make_job(drawn_data[0], recipe={"batch_size": 4})

    def counted(*arguments: Any) -> Footprint:
        return Footprint(0, 2 * GIB * arguments[-1] - OVERHEAD, 0)

    monkeypatch.setattr(out_of_memory, "device_memory", lambda _: has * GIB)
    monkeypatch.setattr(out_of_memory, "training_footprint", counted)
    told = out_of_memory.out_of_memory(job, Path("runs/key"), torch.device("cpu"))
    assert told.startswith("runs/key: out of memory: 4 crop(s) of 24x24 at once take about 8.0 GiB")
    assert proposed in told
