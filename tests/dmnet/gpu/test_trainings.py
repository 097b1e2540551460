"""On a GPU: trainings are interrupted, move to a CPU and back, share the card, and come again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch

from dmnet.config import DatasetConfig, JobConfig
from dmnet.errors import DivergedError
from dmnet.files import read_json, write_text
from dmnet.training import trainer
from dmnet.training.acceleration import acceleration_on
from dmnet.training.determinism import WORKSPACE, same_bits
from dmnet.training.history import read_history
from dmnet.training.run import train
from dmnet.training.step import Stepper
from dmnet.training.stop import InterruptedRunError
from tests.dmnet.test_on_a_gpu import MODELS, RECIPES, SIZE, build, pairs, recipe

pytestmark = pytest.mark.gpu

Prepared = tuple[DatasetConfig, Path]
MakeJob = Callable[..., JobConfig]
ROOT = Path(__file__).resolve().parents[3]
CPU = torch.device("cpu")


# ---------------------------------------------------------------------------------- single steps


@contextmanager
def waiting_refused() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def three_steps(name: str, how: str, gpu: torch.device, deterministic: bool) -> list[torch.Tensor]:
    """The weights afterwards. Once begun, a step asks the GPU for nothing."""
    torch.manual_seed(0)
    model = build(name).to(gpu).train()
    fast = acceleration_on(gpu, deterministic)
    stepper = Stepper(model, recipe(**RECIPES[how]), 255, gpu, acceleration=fast)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, *SIZE, generator=generator)
    labels = torch.randint(5, (4, *SIZE), generator=generator, dtype=torch.uint8)
    on_card = gpu.type == "cuda"
    if on_card:
        images, labels = images.pin_memory(), labels.pin_memory()
    with same_bits(deterministic, gpu):
        for number in range(3):
            with waiting_refused() if number and on_card and not deterministic else nullcontext():
                stepper.step(images, labels, number, number)
    return [tensor.cpu() for tensor in model.state_dict().values()]


@pytest.mark.parametrize(("name", "how"), pairs(RECIPES, "mixed precision"))
def test_steps_are_finite_and_wait_for_nothing(name: str, how: str, gpu: torch.device) -> None:
    assert all(tensor.isfinite().all() for tensor in three_steps(name, how, gpu, False))


@pytest.mark.parametrize(("name", "how"), pairs(RECIPES, "float32"))
def test_with_a_fixed_order_the_same_bits_come_again(
    name: str, how: str, gpu: torch.device
) -> None:
    once, again = (three_steps(name, how, gpu, True) for _ in range(2))
    assert len(once) > 100 and name in MODELS
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


# ---------------------------------------------------------------------------------- moving a run


@pytest.mark.parametrize("precision", ["fp32", "amp"])
def test_a_run_goes_from_a_cpu_to_a_gpu_and_back(
    precision: str,
    gpu: torch.device,
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = {"precision": precision, "iterations": 8}
    job = make_job(drawn_data[0], recipe=changes, execution={"log_every": 1})
    directory = tmp_path / "runs" / job.run.key
    after_step = trainer.Trainer._after_step
    for device, last in ((CPU, 2), (gpu, 4), (CPU, 6), (gpu, 8)):

        def stops(self: trainer.Trainer, last: int = last) -> None:
            if self.position.iteration == last < 8:
                os.kill(os.getpid(), signal.SIGTERM)
            after_step(self)

        monkeypatch.setattr(trainer, "pick_device", lambda *_, chosen=device, **__: chosen)
        monkeypatch.setattr(trainer.Trainer, "_after_step", stops)
        if last < 8:
            with pytest.raises(InterruptedRunError):
                train(job, directory, drawn_data[1], tmp_path)
        else:
            train(job, directory, drawn_data[1], tmp_path)
    attempts = read_json(directory / "train.json")["attempts"]
    places = [attempt["environment"]["device"]["type"] for attempt in attempts]
    assert places == ["cpu", gpu.type, "cpu", gpu.type]
    monkeypatch.setattr(trainer, "pick_device", lambda *_, **__: CPU)
    train(job, tmp_path / "alone" / job.run.key, drawn_data[1], tmp_path)
    losses = [
        [
            row["loss"]
            for row in read_history(folder / job.run.key / "history.jsonl")
            if "loss" in row
        ]
        for folder in (tmp_path / "runs", tmp_path / "alone")
    ]
    assert len(losses[0]) == 8
    assert losses[0] == pytest.approx(losses[1], rel=0.05)  # dropout draws otherwise there


# ------------------------------------------------------------------------------- whole processes


class Run:
    """A training in a process of its own, as it is started from a shell."""

    def __init__(self, folder: Path, job: JobConfig, data: Path) -> None:
        self.folder = folder / "runs" / job.run.key
        write_text(self.folder / "config.json", job.model_dump_json())
        config = ["--config", f"{self.folder}/config.json", "--data", str(data)]
        self.command = [sys.executable, "-m", "dmnet", "train", *config]

    def start(self) -> subprocess.Popen[bytes]:
        environment = {name: text for name, text in os.environ.items() if name != WORKSPACE}
        return subprocess.Popen(self.command, cwd=ROOT, env=environment)

    def saved(self) -> int:
        states = self.folder / "resume" / "states.json"
        return read_json(states)["states"][-1]["iteration"] if states.exists() else 0

    def weights(self) -> str:
        return str(read_json(self.folder / "train.json")["weights"]["sha256"])


@pytest.fixture(scope="module")
def alone() -> dict[str, str]:
    """The weights of what was trained without a disturbance."""
    return {}


@pytest.fixture
def make_run(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob, alone: dict[str, str]
) -> Callable[..., Run]:
    def make(name: str, seed: int = 0) -> Run:
        execution = {"deterministic": True, "checkpoint_every": 1, "validate_every": 20}
        job = make_job(drawn_data[0], recipe={"iterations": 60}, execution=execution, seed=seed)
        run = Run(tmp_path / name, job, drawn_data[1])
        if not alone:
            undisturbed = Run(tmp_path / "alone", job, drawn_data[1])
            assert undisturbed.start().wait() == 0
            alone["weights"] = undisturbed.weights()
        return run

    return make


def test_a_killed_run_goes_on_to_the_same_weights(
    make_run: Callable[..., Run], alone: dict[str, str], gpu: torch.device
) -> None:
    run = make_run("killed")
    process, deadline = run.start(), time.monotonic() + 120
    while run.saved() < 5:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert run.start().wait() == 0
    assert run.weights() == alone["weights"]
    attempts = read_json(run.folder / "train.json")["attempts"]
    assert [a["environment"]["device"]["type"] for a in attempts] == [gpu.type] * 2


def test_two_runs_share_a_card(make_run: Callable[..., Run], alone: dict[str, str]) -> None:
    runs = [make_run("first"), make_run("second", seed=1)]
    processes = [run.start() for run in runs]
    assert [process.wait() for process in processes] == [0, 0]
    assert runs[0].weights() == alone["weights"] != runs[1].weights()


def test_a_fault_in_a_step_is_found_where_it_is_saved(
    gpu: torch.device,
    tmp_path: Path,
    drawn_data: Prepared,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Mixed precision leaves out steps with infinite gradients, not what has become NaN."""
    job = make_job(drawn_data[0], recipe={"precision": "amp"})
    after_step = trainer.Trainer._after_step

    def breaks(self: trainer.Trainer) -> None:
        if self.position.iteration == 4:
            self.model.state_dict()["head.classifier.bias"].fill_(float("nan"))
        after_step(self)

    monkeypatch.setattr(trainer, "pick_device", lambda *_, **__: gpu)
    monkeypatch.setattr(trainer.Trainer, "_after_step", breaks)
    with pytest.raises(DivergedError, match=r"by iteration 4, the last good .* iteration 2"):
        train(job, tmp_path / "runs" / job.run.key, drawn_data[1], tmp_path)


def test_momentum_is_there_though_the_first_step_is_left_out(gpu: torch.device) -> None:
    """With a scale that is too large for it in the first step only."""
    model = build("DMNet").to(gpu).train()
    fast = acceleration_on(gpu)
    stepper = Stepper(model, recipe(precision="amp"), 255, gpu, acceleration=fast)
    junk = [torch.full((1 << 16,), float("nan"), device=gpu) for _ in range(64)]
    del junk
    images = torch.full((4, 3, *SIZE), 1.0)
    labels = torch.zeros(4, *SIZE, dtype=torch.uint8)
    stepper.scaler = torch.amp.GradScaler(gpu.type, init_scale=2.0**40)
    for number in range(30):  # halved until it fits
        stepper.step(images, labels, min(number, 8), number)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
