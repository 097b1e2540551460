"""One run: the same weights bit for bit, interrupted or not, however the data are loaded."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.table2 import LINE as SECONDS_SPENT
from dmnet.config import DatasetConfig, JobConfig
from dmnet.data import loading
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.prepare import prepare_dataset
from dmnet.errors import CheckpointError, DataError, DivergedError, RunError
from dmnet.files import read_json, sha256_file, write_text
from dmnet.segmentor import Segmentor
from dmnet.training import trainer
from dmnet.training.history import read_history
from dmnet.training.run import train
from dmnet.training.stop import InterruptedRunError
from dmnet.weights import load_trained

ROOT = Path(__file__).resolve().parents[3]

Prepared = tuple[DatasetConfig, Path]
MakeJob = Callable[..., JobConfig]


def run_dir(folder: Path, job: JobConfig) -> Path:
    """`runs/<key>` below `folder`, with its `config.json`."""
    directory = folder / "runs" / job.run.key
    write_text(directory / "config.json", job.model_dump_json())
    return directory


def trained(folder: Path, job: JobConfig, data: Path) -> dict[str, Any]:
    """Train in this process and return `train.json`, after comparing it with the files."""
    directory = run_dir(folder, job)
    train(job, directory, data, folder / "no-weights")
    manifest = read_json(directory / "train.json")
    for part in ("weights", "history"):
        assert sha256_file(directory / manifest[part]["file"]) == manifest[part]["sha256"]
    return manifest


def results(manifest: dict[str, Any]) -> tuple[str, str]:
    return manifest["weights"]["sha256"], manifest["history"]["sha256"]


def stop_at(
    monkeypatch: pytest.MonkeyPatch, iteration: int, action: Callable[[], None]
) -> Callable[[], None]:
    """Do `action` after `iteration` steps of every training from now on; gives the way back."""
    after_step = trainer.Trainer._after_step

    def step(self: trainer.Trainer) -> None:
        if self.position.iteration == iteration:
            action()
        after_step(self)

    monkeypatch.setattr(trainer.Trainer, "_after_step", step)
    return monkeypatch.undo


@pytest.fixture(scope="module")
def uninterrupted(
    drawn_data: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[JobConfig], dict[str, Any]]:
    """`train.json` of a run that was left alone; each job is trained once for all tests."""
    found: dict[str, dict[str, Any]] = {}

    def get(job: JobConfig) -> dict[str, Any]:
        if job.run.key not in found:
            before = torch.get_num_threads()
            folder = tmp_path_factory.mktemp("uninterrupted")
            found[job.run.key] = trained(folder, job, drawn_data[1])
            torch.set_num_threads(before)
        return found[job.run.key]

    return get


Uninterrupted = Callable[[JobConfig], dict[str, Any]]


# ------------------------------------------------------------------------------ a finished run


def test_a_run_leaves_verified_weights_its_curve_and_nothing_unfinished(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = make_job(drawn_data[0])
    with caplog.at_level("INFO"):
        manifest = trained(tmp_path, job, drawn_data[1])
    spent = SECONDS_SPENT.search(caplog.text)
    assert spent is not None and float(spent[1]) > 0
    directory = tmp_path / "runs" / job.run.key
    assert {path.name for path in directory.iterdir()} == {
        "config.json",
        "finished.json",
        "history.jsonl",
        "train.json",
        "weights.pt",
    }
    assert manifest["key"] == job.run.key and manifest["iterations"] == 6
    assert manifest["stand_in"] is True
    rows = read_history(directory / "history.jsonl")
    assert [row["iteration"] for row in rows if "loss" in row] == [3, 6]
    assert [row["iteration"] for row in rows if "val_miou" in row] == [4, 6]
    assert rows[-1]["val_miou"] == manifest["val_miou"]
    for row in rows:
        if "loss" in row:
            assert row["loss"] == pytest.approx(row["loss_main"] + row["loss_auxiliary"])


def test_the_weights_are_those_of_the_model_and_have_moved(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    job = make_job(drawn_data[0])
    manifest = trained(tmp_path, job, drawn_data[1])
    path = tmp_path / "runs" / job.run.key / "weights.pt"
    model = load_trained(job.run, path, manifest["weights"]["sha256"])
    torch.manual_seed(job.run.seed)
    start = Segmentor(job.run.model, 21).state_dict()
    moved = {name for name, t in model.state_dict().items() if not torch.equal(t, start[name])}
    assert moved == set(start)
    assert not model.training
    with pytest.raises(CheckpointError, match=r"weights\.pt: damaged"):
        load_trained(job.run, path, "0" * 64)


def test_weights_with_the_right_hash_that_do_not_fit_are_a_checkpoint_error(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    run, path = make_job(drawn_data[0]).run, tmp_path / "weights.pt"
    state = Segmentor(run.model, 21).state_dict()
    torch.save({**state, "another.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"weights\.pt: .*another\.weight"):
        load_trained(run, path, sha256_file(path))
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match=r"weights\.pt: not a (plain )?state dict"):
        load_trained(run, path, sha256_file(path))


# --------------------------------------------------------------------- bit for bit the same


def test_training_twice_gives_the_same_weights_and_history(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob, uninterrupted: Uninterrupted
) -> None:
    job = make_job(drawn_data[0])
    assert results(trained(tmp_path, job, drawn_data[1])) == results(uninterrupted(job))


def test_another_seed_gives_other_weights(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob, uninterrupted: Uninterrupted
) -> None:
    job = make_job(drawn_data[0])
    other = trained(tmp_path, make_job(drawn_data[0], seed=1), drawn_data[1])
    assert other["weights"]["sha256"] != uninterrupted(job)["weights"]["sha256"]


@pytest.mark.parametrize(
    "execution",
    [
        {"workers": 2},
        {"cache_mib": 4},
        {"deterministic": True},
        {"checkpoint_every": 1, "validate_every": 1, "log_every": 1},
        {"checkpoint_every": 100, "validate_every": 100, "log_every": 100},
    ],
    ids=str,
)
def test_how_a_run_is_executed_does_not_change_its_weights(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    uninterrupted: Uninterrupted,
    execution: dict[str, int],
) -> None:
    other = trained(tmp_path, make_job(drawn_data[0], execution=execution), drawn_data[1])
    expected = uninterrupted(make_job(drawn_data[0]))
    assert other["weights"]["sha256"] == expected["weights"]["sha256"]


def test_a_recipe_with_everything_the_zoos_have_goes_on_after_a_stop_to_the_same_weights(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    uninterrupted: Uninterrupted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = {
        **{"fit_size": [32, 64], "cat_max_ratio": 0.75, "photometric": True, "padding": "black"},
        **{"loss_average": "all", "ohem": {"threshold": 0.7, "min_kept": 50}, "min_lr": 1e-4},
        **{"warmup_iterations": 2, "reaches_min_lr": True, "precision": "amp", "loss_scale": 512.0},
    }
    job = make_job(drawn_data[0], recipe=recipe, execution={"log_every": 1})
    stop = stop_at(monkeypatch, 3, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(InterruptedRunError):
        trained(tmp_path, job, drawn_data[1])
    stop()
    manifest = trained(tmp_path, job, drawn_data[1])
    assert results(manifest) == results(uninterrupted(job))
    rows = read_history(tmp_path / "runs" / job.run.key / "history.jsonl")
    rates = [row["lr"] for row in rows if "lr" in row]
    assert rates[:3] == pytest.approx([0.002, 0.02, 0.02]) and rates[-1] == 1e-4


@pytest.mark.parametrize("iteration", range(1, 6))
def test_a_run_stopped_by_sigterm_goes_on_to_the_same_weights(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    uninterrupted: Uninterrupted,
    monkeypatch: pytest.MonkeyPatch,
    iteration: int,
) -> None:
    job = make_job(drawn_data[0])
    go_on = stop_at(monkeypatch, iteration, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRunError, match=rf"stopped at iteration {iteration} by SIGTERM"):
        trained(tmp_path, job, drawn_data[1])
    assert not (tmp_path / "runs" / job.run.key / "train.json").exists()
    go_on()
    assert results(trained(tmp_path, job, drawn_data[1])) == results(uninterrupted(job))


def test_a_damaged_newest_state_costs_time_but_not_the_result(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    uninterrupted: Uninterrupted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = make_job(drawn_data[0])
    go_on = stop_at(monkeypatch, 5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRunError):
        trained(tmp_path, job, drawn_data[1])
    go_on()
    newest = tmp_path / "runs" / job.run.key / "resume" / "state-00000005.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    assert results(trained(tmp_path, job, drawn_data[1])) == results(uninterrupted(job))


def test_a_run_killed_at_a_random_moment_goes_on_to_the_same_weights(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob, uninterrupted: Uninterrupted
) -> None:
    """SIGKILL, in another process, somewhere between the second and the last iteration."""
    job = make_job(
        drawn_data[0],
        recipe={"iterations": 24},
        execution={"checkpoint_every": 3, "log_every": 1, "validate_every": 5},
    )
    directory = run_dir(tmp_path, job)
    command = [sys.executable, "-m", "dmnet", "train", "--config", directory / "config.json"]
    process = subprocess.Popen([*command, "--data", drawn_data[1]], cwd=ROOT)
    wanted, delay = random.randint(2, 16), random.uniform(0, 0.05)
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, f"ended before it was killed (wanted {wanted})"
        assert time.monotonic() < deadline
        rows = read_history(directory / "history.jsonl")
        if rows and rows[-1]["iteration"] >= wanted:
            break
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (directory / "train.json").exists()
    moment = f"killed {delay:.4f} s after iteration {wanted}"
    assert results(trained(tmp_path, job, drawn_data[1])) == results(uninterrupted(job)), moment


@pytest.mark.parametrize(
    "file", ["progress.json", "resume/state-00000003.pt", "weights.pt", "train.json"]
)
def test_what_an_attempt_killed_while_it_wrote_left_is_removed_by_the_next(
    file: str, tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    job = make_job(drawn_data[0])
    written = run_dir(tmp_path, job) / file
    measured = run_dir(tmp_path, job) / "evaluations" / "whole.json"
    for path in (written, measured):
        killed_while_it_writes(path)
    trained(tmp_path, job, drawn_data[1])
    (left,) = (tmp_path / "runs").rglob("*.tmp")
    assert left.parent == measured.parent  # which another process may be writing


def killed_while_it_writes(path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys; from dmnet.files import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as stream:\n"
        "    stream.write(b'half'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, path], check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert list(path.parent.glob("*.tmp"))


# --------------------------------------------------------------- what is finished, stays so


def never(*_: object) -> None:
    raise AssertionError("trained again")


def test_a_finished_run_is_not_trained_again_though_snakemake_deleted_its_output(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(drawn_data[0])
    first = trained(tmp_path, job, drawn_data[1])
    (tmp_path / "runs" / job.run.key / "train.json").unlink()
    monkeypatch.setattr(trainer, "Trainer", never)
    assert trained(tmp_path, job, drawn_data[1]) == first


@pytest.mark.parametrize("file", ["weights.pt", "finished.json"])
@pytest.mark.parametrize("content", [b"", None])
def test_a_finished_run_with_a_damaged_or_missing_file_is_trained_again(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    uninterrupted: Uninterrupted,
    file: str,
    content: bytes | None,
) -> None:
    job = make_job(drawn_data[0])
    trained(tmp_path, job, drawn_data[1])
    path = tmp_path / "runs" / job.run.key / file
    path.unlink() if content is None else path.write_bytes(content)
    assert results(trained(tmp_path, job, drawn_data[1])) == results(uninterrupted(job))


def test_a_run_on_other_data_is_trained_again(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    job = make_job(drawn_data[0])
    first = trained(tmp_path, job, drawn_data[1])
    assert drawn_data[0].generate is not None
    other_images = drawn_data[0].generate.model_copy(update={"seed": 1})
    other = drawn_data[0].model_copy(update={"generate": other_images})
    prepare_dataset(other, tmp_path / "other", tmp_path / "archives", None)
    second = trained(tmp_path, job, tmp_path / "other")
    assert first["data_fingerprint"] != second["data_fingerprint"]
    assert first["weights"]["sha256"] != second["weights"]["sha256"]


# -------------------------------------------------------------------------------- what fails


def test_a_diverging_loss_is_a_run_error_that_says_what_to_do(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    job = make_job(drawn_data[0], recipe={"lr": 1e30}, execution={"log_every": 1})
    with pytest.raises(RunError, match=r"the loss became .* in iteration 2, none saved; lower"):
        trained(tmp_path, job, drawn_data[1])
    directory = tmp_path / "runs" / job.run.key
    assert not (directory / "train.json").exists() and not (directory / "weights.pt").exists()
    for line in (directory / "history.jsonl").read_text().splitlines():
        assert json.loads(line)["loss"] < float("inf")


def test_a_loss_that_becomes_nan_is_named_by_its_iteration_and_no_state_is_lost(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is looked at only every so many iterations, and saved before it is."""
    job = make_job(drawn_data[0], execution={"log_every": 100, "validate_every": 100})
    step = trainer.Stepper.step

    def breaks(self: Any, images: Tensor, labels: Tensor, iteration: int, seed: int) -> Any:
        return step(self, images * (math.nan if iteration == 4 else 1.0), labels, iteration, seed)

    monkeypatch.setattr(trainer.Stepper, "step", breaks)
    named = r"the loss became nan in iteration 5, the last good state is of iteration 4; lower `lr`"
    for _ in range(2):  # the same command stops in the same place
        with pytest.raises(DivergedError, match=named):
            trained(tmp_path, job, drawn_data[1])
        resume = tmp_path / "runs" / job.run.key / "resume"
        assert {p.name for p in resume.glob("*.pt")} == {f"state-0000000{i}.pt" for i in (2, 4)}


@pytest.mark.parametrize(
    ("iteration", "good"), [(4, "the last good state is of iteration 2"), (6, "4")]
)
def test_weights_that_become_infinite_are_never_saved_validated_or_finished(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    iteration: int,
    good: str,
) -> None:
    """While the loss, which is of the step before, is still finite."""
    job = make_job(drawn_data[0], execution={"validate_every": 100})
    after_step = trainer.Trainer._after_step

    def breaks(self: trainer.Trainer) -> None:
        if self.position.iteration == iteration:
            self.model.state_dict()["head.classifier.bias"][0] = math.inf
        after_step(self)

    monkeypatch.setattr(trainer.Trainer, "_after_step", breaks)
    named = (
        rf"head\.classifier\.bias became NaN or infinite by iteration {iteration}, .*{good}; lower"
    )
    with pytest.raises(DivergedError, match=named):
        trained(tmp_path, job, drawn_data[1])
    directory = tmp_path / "runs" / job.run.key
    assert not (directory / "weights.pt").exists()
    assert not any("val_miou" in row for row in read_history(directory / "history.jsonl"))


def test_data_that_are_not_prepared_are_a_data_error(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    with pytest.raises(DataError, match=r"manifest\.json: missing"):
        trained(tmp_path, make_job(drawn_data[0]), tmp_path / "nothing")


def test_start_weights_that_are_missing_are_a_checkpoint_error(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    values = make_job(drawn_data[0]).model_dump(mode="json")
    weights = {"name": "n", "file": "f.pth", "url": "u", "sha256_prefix": "0" * 8}
    values["run"]["model"]["backbone"].update(width=64, weights=weights)
    with pytest.raises(CheckpointError, match=r"no-weights/f\.pth: n weights are missing"):
        trained(tmp_path, JobConfig.model_validate(values), drawn_data[1])


# -------------------------------------------------------------------------- with loader workers


def in_a_process_group(job: JobConfig, directory: Path, data: Path) -> subprocess.Popen[str]:
    config = str(directory / "config.json")
    command = ["-m", "dmnet", "train", "--config", config, "--data", str(data)]
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_whole_process_group_saves_though_workers_are_in_it(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    uninterrupted: Uninterrupted,
    number: signal.Signals,
) -> None:
    execution = {"workers": 2, "checkpoint_every": 1000, "validate_every": 200, "log_every": 1}
    job = make_job(drawn_data[0], recipe={"iterations": 200}, execution=execution)
    directory = run_dir(tmp_path, job)
    process = in_a_process_group(job, directory, drawn_data[1])
    while not read_history(directory / "history.jsonl"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, number)
    output = process.communicate(timeout=60)[0]
    assert f"by {number.name}; run the same command to go on" in output
    assert "Traceback" not in output and (directory / "resume" / "states.json").exists()
    assert results(trained(tmp_path, job, drawn_data[1])) == results(uninterrupted(job))


def test_a_loader_that_gives_nothing_ends_the_training_with_a_saved_state(
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    uninterrupted: Uninterrupted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every read after the eighth waits for ever, as on a disk that is gone."""
    job = make_job(drawn_data[0], execution={"validate_every": 6})
    read, done = SegmentationDataset.read, itertools.count()

    def stuck(self: SegmentationDataset, index: int) -> tuple[Tensor, Tensor]:
        if next(done) >= 8:
            threading.Event().wait()
        return read(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationDataset, "read", stuck)
        patch.setattr(loading, "PATIENCE", 1.0)
        line = r"saved at iteration 4: the loader gave no batch for 1 s; .*the same command goes"
        with pytest.raises(RunError, match=line):
            trained(tmp_path, job, drawn_data[1])
    weights = trained(tmp_path, job, drawn_data[1])["weights"]
    assert weights == uninterrupted(job)["weights"]
