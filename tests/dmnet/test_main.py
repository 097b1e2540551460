"""The command line: what it writes, and one line `error: ...` with exit code 1 for a mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmnet.__main__ import main
from dmnet.config import DatasetConfig, JobConfig
from dmnet.files import read_json, sha256_file, write_json, write_text

Prepared = tuple[DatasetConfig, Path]
MakeJob = Callable[..., JobConfig]


def evaluation(dataset: DatasetConfig, **changes: Any) -> str:
    identity = dataset.identity.model_dump(mode="json")
    values = {"inference": {"mode": "whole"}, "split": "val", "data": identity}
    return json.dumps({**values, **changes})


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The command ends with exit code 1 and one line, which is returned."""
    assert main([str(argument) for argument in arguments]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def test_prepare_train_and_evaluate(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    dataset, data = drawn_data
    write_json(tmp_path / "dataset.json", dataset.model_dump(mode="json"))
    again = tmp_path / "data"
    prepare = ["prepare", "--dataset", tmp_path / "dataset.json", "--folder", again]
    assert main([str(a) for a in prepare]) == 0
    assert (again / "manifest.json").read_bytes() == (data / "manifest.json").read_bytes()

    job = make_job(dataset, recipe={"iterations": 1})
    run = tmp_path / "runs" / job.run.key
    write_text(run / "config.json", job.model_dump_json())
    assert main(["train", "--config", str(run / "config.json"), "--data", str(again)]) == 0
    output = tmp_path / "metrics.json"
    arguments = ["evaluate", "--run", run, "--config", evaluation(dataset), "--data", again]
    assert main([str(a) for a in [*arguments, "--output", output]]) == 0

    metrics, trained = read_json(output), read_json(run / "train.json")
    assert metrics["run"] == job.run.key and metrics["images"] == 3
    assert metrics["weights_sha256"] == sha256_file(run / "weights.pt")
    assert metrics["code"]["sha256"] == trained["code"]["sha256"]
    assert metrics["code"]["changed"] is False
    assert metrics["tf32"] == trained["environment"]["device"]["tf32"]
    assert metrics["stand_in"] is True
    assert metrics["data_fingerprint"] == trained["data_fingerprint"]
    # The last validation during training was of the same weights on the same images.
    assert metrics["miou"] == trained["val_miou"]


@pytest.fixture
def run(tmp_path: Path, drawn_data: Prepared, make_job: MakeJob) -> Path:
    """An untrained run's folder."""
    job = make_job(drawn_data[0])
    write_text(tmp_path / "runs" / job.run.key / "config.json", job.model_dump_json())
    return tmp_path / "runs" / job.run.key


def test_training_without_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, "train", "--config", tmp_path / "config.json", "--data", tmp_path)
    assert "config.json: cannot be read (No such file or directory)" in line


def test_training_with_an_unknown_key(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = read_json(run / "config.json")
    values["run"]["recipe"]["learning_rate"] = 1
    write_json(run / "config.json", values)
    line = fails(capsys, "train", "--config", run / "config.json", "--data", run)
    assert "config.json: unknown key `run.recipe.learning_rate`" in line


def test_training_in_a_folder_of_another_key(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run.rename(run.parent / "0123456789abcdef")
    line = fails(capsys, "train", "--config", other / "config.json", "--data", run)
    assert f"its content has key {run.name}, not its folder's name" in line


def test_training_on_data_that_are_not_prepared(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, "train", "--config", run / "config.json", "--data", tmp_path)
    assert "manifest.json: missing, so this dataset is not prepared" in line
    assert not (run / "train.json").exists()


def test_evaluating_a_run_that_is_not_trained(
    run: Path, tmp_path: Path, drawn_data: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    config, output = evaluation(drawn_data[0]), tmp_path / "metrics.json"
    arguments = ("--run", run, "--config", config, "--data", drawn_data[1], "--output", output)
    assert "train.json: cannot be read" in fails(capsys, "evaluate", *arguments)
    assert not output.exists()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{not json", "not valid JSON"),
        ("{}", "is missing; add it"),
        ('{"counts": NaN}', "NaN is no number of JSON"),
        ('{"a": ' * 5000 + "1" + "}" * 5000, "nested deeper than"),
        ('{"\\u001b[2J": 1}', "unknown key `?[2J`"),
        ('{"name": "x", "nmae": 1}', "--dataset: "),
        ("no/such/file.json", "no/such/file.json: cannot be read"),
    ],
)
def test_preparing_from_a_wrong_argument(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: str, reason: str
) -> None:
    line = fails(capsys, "prepare", "--dataset", config, "--folder", tmp_path / "data")
    assert reason in line
    assert not (tmp_path / "data").exists()


def test_preparing_data_that_the_user_must_get_first(
    tmp_path: Path, drawn_data: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    real = drawn_data[0].model_copy(update={"generate": None})
    folder = tmp_path / "data"
    arguments = ("--dataset", real.model_dump_json(), "--folder", folder, "--sources", tmp_path)
    line = fails(capsys, "prepare", *arguments)
    assert "missing" in line and "download" in line
    assert not (folder / "manifest.json").exists()


def test_a_usage_mistake_ends_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train"])
    assert ended.value.code == 2
    assert "--config" in capsys.readouterr().err
