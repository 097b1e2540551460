"""One run in two processes (torchrun, gloo, on the CPU): one process's weights, but for rounding.

Measured: after 6 iterations weights and statistics differ by at most 4e-6 of the largest entry of
their tensor; the limit is 1e-4, as each iteration multiplies the differences of the one before.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from dmnet.config import DatasetConfig, JobConfig
from dmnet.errors import LOST_CONTACT, TO_BE_CONTINUED, ConfigError
from dmnet.files import read_json, write_text
from dmnet.segmentor import Segmentor
from dmnet.torchrun import forget_other_launchers, rank_of_this_process
from dmnet.training.history import read_history
from dmnet.training.launch import processes_error, srun_command, torchrun_arguments
from dmnet.training.share import Share
from dmnet.training.shared_layers import (
    PartedBatchNorm,
    SharedDropout,
    set_piece,
    share_layers,
)

ROOT = Path(__file__).resolve().parents[3]
WORKER = "pt_data_worker"  # what PyTorch calls a loader worker
LIMIT = 1e-4  # of a tensor's largest entry

Prepared = tuple[DatasetConfig, Path]
MakeJob = Callable[..., JobConfig]


class Run:
    """`python -m dmnet train` on a job of its own folder."""

    def __init__(self, folder: Path, job: JobConfig, data: Path) -> None:
        self.directory = folder / "runs" / job.run.key
        write_text(self.directory / "config.json", job.model_dump_json())
        self.arguments = ["-m", "dmnet", "train", "--config", str(self.directory / "config.json")]
        self.arguments += ["--data", str(data), "--label", "run"]

    def start(self, *program: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*(program or (sys.executable,)), *self.arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def train(self, *program: str, **environment: str) -> tuple[int, str]:
        process = self.start(*program, **environment)
        output = process.communicate(timeout=180)[0]
        return process.returncode, output

    def weights(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = torch.load(self.directory / "weights.pt", weights_only=True)
        return state

    @property
    def manifest(self) -> Any:
        return read_json(self.directory / "train.json")

    def history(self) -> list[dict[str, Any]]:
        return read_history(self.directory / "history.jsonl")

    def wait_for(self, iteration: int) -> None:
        deadline = time.monotonic() + 60
        while not any(row["iteration"] >= iteration for row in self.history()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def largest_difference(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Over all tensors, of the largest entry of each."""
    assert ours.keys() == theirs.keys()
    return max(
        float((tensor - theirs[name]).abs().max() / theirs[name].abs().max().clamp(min=1e-12))
        for name, tensor in ours.items()
        if tensor.is_floating_point()
    )


def assert_same_run(ours: Run, theirs: Run) -> None:
    assert largest_difference(ours.weights(), theirs.weights()) < LIMIT
    assert len(ours.history()) == len(theirs.history())
    for row, other in zip(ours.history(), theirs.history(), strict=True):
        assert row == pytest.approx(other, rel=LIMIT, abs=1e-3 if "val_miou" in row else 0)


EVERYTHING = {
    **{"batch_size": 4, "loss_average": "labelled", "iterations": 6},
    **{"ohem": {"threshold": None, "min_kept": 50, "parts": 2}},
    **{"backbone_bn_parts": 2, "loss_parts": 4},
}


@pytest.mark.parametrize(
    "recipe",
    [{"batch_size": 4}, EVERYTHING, {"batch_size": 4, "loss_average": "all"}],
    ids=["plain", "hard pixels", "all pixels"],
)
def test_two_processes_train_what_one_trains(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob, recipe: dict[str, Any]
) -> None:
    """Void pixels lie unevenly in the images; dropout is on; validation is split."""
    one, two = (
        Run(
            tmp_path / str(processes),
            make_job(
                drawn_data[0], recipe=recipe, execution={"processes": processes, "log_every": 1}
            ),
            drawn_data[1],
        )
        for processes in (1, 2)
    )
    assert one.directory.name == two.directory.name  # outside the key
    for run in (one, two):
        status, output = run.train()
        assert status == 0, output
    assert_same_run(two, one)
    assert (one.manifest["processes"], two.manifest["processes"]) == ([1], [2])


@pytest.mark.slow
def test_plain_torchrun_trains_the_same_and_the_share_of_a_part_does_not_depend_on_it(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    """A batch in two parts, each with its own statistics: by torchrun in two processes, or one."""
    recipe = {"batch_size": 8, "bn_parts": 2, "iterations": 4}
    job = make_job(drawn_data[0], recipe=recipe, execution={"accumulate": 2, "log_every": 1})
    one, two = (Run(tmp_path / name, job, drawn_data[1]) for name in ("one", "two"))
    assert one.train()[0] == 0
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    status, output = two.train(*torchrun, "--nproc-per-node", "2", OMP_NUM_THREADS="1")
    assert status == 0, output
    assert_same_run(two, one)


@pytest.mark.slow
def test_one_process_on_each_of_two_nodes_trains_the_same(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    """As srun starts the two launchers; they meet through a store of the first."""
    recipe = {"batch_size": 4, "iterations": 4}
    executions = ({"processes": 2, "nodes": 2}, {})
    two, one = (
        Run(
            tmp_path / str(number),
            make_job(drawn_data[0], recipe=recipe, execution={**execution, "log_every": 1}),
            drawn_data[1],
        )
        for number, execution in enumerate(executions)
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    job = {"DMNET_RENDEZVOUS": f"127.0.0.1:{port}", "DMNET_SECRET": "s", "SLURM_JOB_ID": "7"}
    launchers = [two.start(**job, SLURM_NODEID=str(node)) for node in (1, 0)]
    outputs = [launcher.communicate(timeout=180)[0] for launcher in launchers]
    assert [launcher.returncode for launcher in launchers] == [0, 0], outputs
    assert one.train()[0] == 0
    assert_same_run(two, one)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_schedulers_variables_are_not_used_and_said(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob, processes: int
) -> None:
    """Taken for torchrun's, they would let it wait for peers that nobody starts."""
    recipe = {"batch_size": 4, "iterations": 2}
    job = make_job(drawn_data[0], recipe=recipe, execution={"processes": processes})
    run = Run(tmp_path, job, drawn_data[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511", "PET_NNODES": "4"}
    status, output = run.train(RANK="3", WORLD_SIZE="4", **place)
    assert status == 0, output
    assert output.count("PET_NNODES, RANK, WORLD_SIZE: set, but torchrun did not start this") == 1
    assert run.manifest["processes"] == [processes]


@pytest.mark.slow
def test_a_loader_that_fails_in_one_process_stops_all_with_a_saved_state(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    """A worker of the second process is killed, as the kernel does where memory runs out."""
    execution = {"processes": 2, "workers": 1, "log_every": 1, "checkpoint_every": 1000}
    recipe = {"batch_size": 4, "iterations": 300}
    job = make_job(drawn_data[0], recipe=recipe, execution={**execution, "validate_every": 300})
    run = Run(tmp_path, job, drawn_data[1])
    process = run.start()
    run.wait_for(2)
    os.kill(members(run, WORKER)[1], signal.SIGKILL)
    output = process.communicate(timeout=120)[0]
    errors = [line for line in output.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "a loader worker failed (killed by SIGKILL)" in errors[0], output
    assert "saved at iteration" in errors[0] and "Traceback" not in output
    saved = read_json(run.directory / "resume" / "states.json")["states"][-1]["iteration"]
    assert f"saved at iteration {saved}:" in errors[0]


@pytest.mark.slow
def test_without_statistics_in_common_each_process_has_its_own(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    recipe = {"batch_size": 4, "bn_parts": 2, "sync_bn": False}
    job = make_job(drawn_data[0], recipe=recipe, execution={"processes": 2, "log_every": 1})
    apart = Run(tmp_path / "apart", job, drawn_data[1])
    status, output = apart.train()
    assert status == 0, output
    together = make_job(drawn_data[0], recipe={"batch_size": 4}, execution={"log_every": 1})
    common = Run(tmp_path / "common", together, drawn_data[1])
    assert common.train()[0] == 0
    assert largest_difference(apart.weights(), common.weights()) > 100 * LIMIT


# ------------------------------------------------------------------------- what may go wrong


@pytest.fixture
def long_job(drawn_data: Prepared, make_job: MakeJob) -> JobConfig:
    """In two processes, long enough to be disturbed."""
    return make_job(
        drawn_data[0],
        recipe={"batch_size": 4, "iterations": 24},
        execution={"processes": 2, "log_every": 1, "checkpoint_every": 2, "validate_every": 12},
    )


@pytest.fixture(scope="module")
def undisturbed(
    drawn_data: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[JobConfig], Run]]:
    """The same run in the same processes, left alone; once for all tests."""
    found: dict[str, Run] = {}

    def get(job: JobConfig) -> Run:
        if job.run.key not in found:
            run = Run(tmp_path_factory.mktemp("undisturbed"), job, drawn_data[1])
            status, output = run.train()
            assert status == 0, output
            found[job.run.key] = run
        return found[job.run.key]

    yield get


def members(run: Run, name: str = "python") -> dict[int, int]:
    """rank -> process id of the processes that torchrun started for the run, or of a worker."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode().split("\0")
            environment = (folder / "environ").read_bytes().decode().split("\0")
            is_worker = (folder / "comm").read_text().strip() == WORKER
        except OSError:
            continue
        if is_worker == (name == WORKER) and str(run.directory / "config.json") in command:
            for entry in environment:
                if entry.startswith("RANK="):
                    found[int(entry.removeprefix("RANK="))] = int(folder.name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_is_an_error_that_names_it_and_the_next_attempt_goes_on(
    tmp_path: Path,
    drawn_data: Prepared,
    long_job: JobConfig,
    undisturbed: Callable[[JobConfig], Run],
    rank: int,
) -> None:
    run = Run(tmp_path, long_job, drawn_data[1])
    process = run.start()
    run.wait_for(3)
    os.kill(members(run)[rank], signal.SIGKILL)
    output = process.communicate(timeout=180)[0]
    assert process.returncode == 128 + signal.SIGKILL
    errors = [line for line in output.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, output
    assert f"process {rank} was killed by SIGKILL" in errors[0]
    assert not members(run)
    status, output = run.train()
    assert status == 0, output
    assert "going on from iteration" in output
    assert run.manifest["weights"] == undisturbed(long_job).manifest["weights"]  # bit for bit
    assert run.manifest["history"] == undisturbed(long_job).manifest["history"]


@pytest.mark.slow
@pytest.mark.parametrize("whom", [0, 1, "launcher"])
def test_sigterm_to_any_process_stops_all_with_a_saved_state(
    tmp_path: Path,
    drawn_data: Prepared,
    long_job: JobConfig,
    undisturbed: Callable[[JobConfig], Run],
    whom: Any,
) -> None:
    run = Run(tmp_path, long_job, drawn_data[1])
    process = run.start()
    run.wait_for(3)
    os.kill(process.pid if whom == "launcher" else members(run)[whom], signal.SIGTERM)
    output = process.communicate(timeout=180)[0]
    assert process.returncode != 0
    assert output.count("by SIGTERM; run the same command to go on") == 1, output
    stopped = read_json(run.directory / "resume" / "states.json")["states"][-1]["iteration"]
    assert f"stopped at iteration {stopped} by SIGTERM" in output
    assert run.train()[0] == 0
    assert run.manifest["weights"] == undisturbed(long_job).manifest["weights"]


@pytest.mark.slow
def test_short_allocations_end_with_the_weights_of_a_long_one(
    tmp_path: Path,
    drawn_data: Prepared,
    long_job: JobConfig,
    undisturbed: Callable[[JobConfig], Run],
) -> None:
    """The first process finds the time over after every few iterations; the others follow."""
    program = tmp_path / "short_allocations.py"
    program.write_text(
        "import sys\n"
        "from dmnet.__main__ import main\n"
        "from dmnet.training.wall_clock import WallClock\n"
        "def has_time_for(clock, what):\n"
        "    clock.asked = getattr(clock, 'asked', 0) + 1\n"
        "    return clock.end is None or clock.asked < 10\n"
        "WallClock.has_time_for = has_time_for\n"
        "sys.exit(main())\n"
    )
    run = Run(tmp_path, long_job, drawn_data[1])
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    command = [*torchrun, "--nproc-per-node=2", str(program), *run.arguments[2:]]
    end = str(time.time() + 3600)
    for stop in range(3):
        environment = {**os.environ, "DMNET_UNTIL": end, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=180, check=False
        )
        stopped = f"stopped: {run.directory}: saved at iteration"
        assert (done.stderr.count(stopped), done.returncode) == ((1, 1) if stop < 2 else (0, 0))
        assert f"exitcode  : {TO_BE_CONTINUED}" in done.stderr or stop == 2
    assert run.manifest["weights"] == undisturbed(long_job).manifest["weights"]
    assert run.manifest["history"] == undisturbed(long_job).manifest["history"]


@pytest.mark.slow
def test_an_error_of_all_processes_keeps_its_words_and_status(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    recipe = {"batch_size": 4, "lr": 1e30}
    job = make_job(drawn_data[0], recipe=recipe, execution={"processes": 2, "log_every": 1})
    run = Run(tmp_path, job, drawn_data[1])
    status, output = run.train()
    assert status == 1
    errors = {line for line in output.splitlines() if line.startswith("error:")}
    assert len(errors) == 1 and "lower `lr` in the recipe" in errors.pop(), output


# ------------------------------------------------------------------ the parts, one by one


def test_parts_of_a_batch_hold_the_same_images_whatever_the_number_of_processes() -> None:
    batch = list(range(8))
    pieces = [Share(rank, 2, 2).of(batch) for rank in (0, 1)]
    assert pieces == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert Share(0, 1, 2).of(batch) == batch
    assert [Share(1, 2, 2).start(8, part) for part in (0, 1)] == [2, 6]


@pytest.mark.parametrize(
    ("share", "recipe", "message"),
    [
        (Share(0, 3, 1), {}, r"recipe\.batch_size: 4 images cannot be divided among 3 process"),
        (Share(0, 1, 2), {}, r"recipe\.bn_parts: 1 .* in 2 part\(s\).*use execution.accumulate 1"),
        (Share(0, 2, 1), {"sync_bn": False}, r"recipe\.bn_parts: 1 with sync_bn false"),
        (Share(0, 1, 2), {"sync_bn": False, "bn_parts": 2}, r"use 2 process\(es\)"),
        (Share(0, 2, 1), {"ohem": {"min_kept": 9}}, r"recipe\.ohem\.parts: 1"),
    ],
)
def test_a_division_that_changes_weights_is_refused(
    drawn_data: Prepared, make_job: MakeJob, share: Share, recipe: dict[str, Any], message: str
) -> None:
    job = make_job(drawn_data[0], recipe={"batch_size": 4, **recipe})
    with pytest.raises(ConfigError, match=message):
        share.check(job.run.recipe)


def test_a_piece_of_dropout_is_what_the_whole_batch_gets() -> None:
    x = torch.rand(4, 16, 3, 3) + 1
    torch.manual_seed(7)
    whole = nn.Dropout2d(0.3)(x)
    shared = SharedDropout(0.3)
    for start in (0, 2):
        torch.manual_seed(7)
        set_piece(shared, 4, start)
        assert torch.equal(shared(x[start : start + 2]), whole[start : start + 2])
    assert shared.eval()(x) is x


def test_on_gpus_the_heads_share_statistics_and_the_backbones_parts_have_their_own(
    make_job: MakeJob, drawn_data: Prepared
) -> None:
    job = make_job(drawn_data[0], recipe={"batch_size": 16, "backbone_bn_parts": 4})
    model = Segmentor(job.run.model, 21)
    names = set(model.state_dict())
    share_layers(model, job.run.recipe, torch.device("cuda"), Share(1, 2))
    norms = [module for module in model.modules() if isinstance(module, _NormBase)]
    own = [module for module in model.backbone.modules() if isinstance(module, _NormBase)]
    assert {type(norm) for norm in own} == {PartedBatchNorm}
    assert {type(norm) for norm in norms if norm not in own} == {nn.SyncBatchNorm}
    assert {norm.parts for norm in own} == {2}  # of four, in each of two processes
    assert set(model.state_dict()) == names


def test_one_node_needs_no_address_and_several_meet_at_the_first() -> None:
    arguments = torchrun_arguments(["train"], 4, 1, {})
    assert arguments[:2] == ["--nnodes=1", "--rdzv-backend=dmnet"]
    assert "--nproc-per-node=4" in arguments
    assert arguments[-3:] == ["-m", "dmnet", "train"]
    job = {"SLURM_JOB_ID": "123456", "DMNET_RENDEZVOUS": "node1:23456"}
    arguments = torchrun_arguments(["train"], 8, 2, job)
    assert "--rdzv-endpoint=node1:23456" in arguments and "--rdzv-id=123456" in arguments
    assert "--nnodes=2" in arguments and "--nproc-per-node=4" in arguments
    command = srun_command(["train"], 2, "node1", job)
    assert command[:5] == ["srun", "--overlap", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1"]
    assert "--export=ALL,DMNET_RENDEZVOUS=node1:23456" in command
    assert command[-4:] == [sys.executable, "-m", "dmnet", "train"]


@pytest.mark.parametrize(
    ("statuses", "status", "message"),
    [
        ({0: -15, 1: -9}, 137, "runs/k: process 1 was killed by SIGKILL"),
        (
            {0: LOST_CONTACT, 1: -9},
            137,
            r"runs/k: process 1 was killed by SIGKILL; .*\[process 1\]",
        ),
        ({0: TO_BE_CONTINUED, 1: -15}, TO_BE_CONTINUED, ""),
        ({0: 1, 1: LOST_CONTACT}, 1, ""),  # it printed its own error
        ({1: LOST_CONTACT}, LOST_CONTACT, r"runs/k: process\(es\) 1 lost contact"),
    ],
)
def test_the_process_to_blame_is_found(statuses: dict[int, int], status: int, message: str) -> None:
    error = processes_error(statuses, Path("runs/k"))
    assert error.status == status and re.match(message, error.message)


def test_half_of_torchruns_variables_are_left_over_from_something_else() -> None:
    whole = {"TORCHELASTIC_RUN_ID": "a", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    whole |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    assert rank_of_this_process(whole) == 1
    for name in ("LOCAL_RANK", "MASTER_PORT"):
        environment = {key: value for key, value in whole.items() if key != name}
        assert rank_of_this_process(environment) is None
        forget_other_launchers(environment)
        assert environment.keys() <= {"MASTER_ADDR", "MASTER_PORT"}
