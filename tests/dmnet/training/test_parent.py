"""Fine-tuning: a run that starts from the final weights of another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmnet.config import DatasetConfig, JobConfig
from dmnet.errors import CheckpointError
from dmnet.files import read_json, write_json, write_text
from dmnet.training.run import train

Prepared = tuple[DatasetConfig, Path]
MakeJob = Callable[..., JobConfig]


def trained(folder: Path, job: JobConfig, data: Path) -> dict[str, Any]:
    directory = folder / "runs" / job.run.key
    write_text(directory / "config.json", job.model_dump_json())
    train(job, directory, data, folder / "no-weights")
    manifest: dict[str, Any] = read_json(directory / "train.json")
    return manifest


def test_a_child_starts_from_its_parent_and_follows_it_when_it_changes(
    drawn_data: Prepared, make_job: MakeJob, tmp_path: Path
) -> None:
    dataset, data = drawn_data
    parent, other = make_job(dataset), make_job(dataset, seed=1)
    child = make_job(dataset, parent=parent.run.key)
    assert child.run.key != make_job(dataset).run.key

    first_parent = trained(tmp_path, parent, data)
    first = trained(tmp_path, child, data)
    assert first["start_weights"] == first_parent["weights"]["sha256"]
    assert first["weights"]["sha256"] != first_parent["weights"]["sha256"]
    assert trained(tmp_path, child, data)["seconds"] == first["seconds"], "trained twice"

    # The parent as another machine would have trained it: other weights under the same key.
    other_weights = trained(tmp_path, other, data)["weights"]
    folder = tmp_path / "runs" / parent.run.key
    source = tmp_path / "runs" / other.run.key / other_weights["file"]
    (folder / other_weights["file"]).write_bytes(source.read_bytes())
    write_json(folder / "train.json", {**first_parent, "weights": other_weights})

    second = trained(tmp_path, child, data)
    assert second["start_weights"] == other_weights["sha256"]
    assert second["weights"]["sha256"] != first["weights"]["sha256"]


def test_a_damaged_parent_is_refused(
    drawn_data: Prepared, make_job: MakeJob, tmp_path: Path
) -> None:
    dataset, data = drawn_data
    parent = make_job(dataset)
    weights = trained(tmp_path, parent, data)["weights"]
    path = tmp_path / "runs" / parent.run.key / weights["file"]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"weights\.pt: damaged"):
        trained(tmp_path, make_job(dataset, parent=parent.run.key), data)
