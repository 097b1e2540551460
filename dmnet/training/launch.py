"""Start the processes that train one run: torchrun on this machine, srun and torchrun on several.

`python -m dmnet train` comes here by itself where `execution.processes` asks for more than one and
torchrun did not start it yet. How the processes find each other: dmnet/training/meeting.py.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from dmnet.errors import LOST_CONTACT, ConfigError, ProcessesError, RunError

RENDEZVOUS = "DMNET_RENDEZVOUS"  # host:port, set on each of several nodes
FIRST_PORT, PORTS = 20000, 10000  # of the rendezvous: one per SLURM job
OF_THE_JOB = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CLUSTER_NAME", "SLURM_CONF")
# How long processes may take to save a state after SIGTERM before they are killed.
SHUTDOWN_SECONDS = 120


def torchrun_arguments(
    command: Sequence[str],
    processes: int,
    nodes: int,
    environment: Mapping[str, str] = os.environ,
) -> list[str]:
    """torchrun's arguments for this node's part of `processes`; they run `dmnet COMMAND`."""
    # What the processes print goes on as it is; torchrun would leave a folder for it in TMPDIR.
    meeting = [f"--nnodes={nodes}", "--rdzv-backend=dmnet", f"--log-dir={os.devnull}"]
    if nodes > 1:
        meeting += [
            f"--rdzv-endpoint={environment[RENDEZVOUS]}",
            f"--rdzv-id={environment.get('SLURM_JOB_ID', 'dmnet')}",
        ]
    return [*meeting, f"--nproc-per-node={processes // nodes}", "-m", "dmnet", *command]


def srun_command(
    command: Sequence[str], nodes: int, first_host: str, environment: Mapping[str, str]
) -> list[str]:
    """One launcher on each node of the SLURM job that this process is in."""
    port = FIRST_PORT + int(environment["SLURM_JOB_ID"]) % PORTS
    return [
        *("srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"),
        f"--export=ALL,{RENDEZVOUS}={first_host}:{port}",
        *(sys.executable, "-m", "dmnet", *command),
    ]


def of_the_whole_job(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without SLURM's words on this process's step: it may be on one node only."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(("SLURM_", "SRUN_")) or name in OF_THE_JOB
    }


def launch(command: Sequence[str], processes: int, nodes: int, run_dir: Path) -> None:
    """Run `dmnet COMMAND` in so many processes and wait for them.

    Raises ProcessesError where one fails, ConfigError where several nodes are asked for outside a
    SLURM job. With several nodes this process becomes srun.
    """
    from dmnet.training.meeting import SECRET, on_this_machine

    if nodes > 1 and RENDEZVOUS not in os.environ:
        if "SLURM_JOB_ID" not in os.environ:
            raise ConfigError(
                f"execution.nodes: {nodes}, but this is no SLURM job; use the profile "
                "profiles/slurm, start torchrun on every node yourself, or set it to 1"
            )
        started = srun_command(command, nodes, _first_address(), os.environ)
        # Not as an argument, which every user of the machine could read.
        secret = {SECRET: secrets.token_hex(16)}
        os.execvpe(started[0], started, of_the_whole_job(os.environ) | secret)
    with on_this_machine() if nodes == 1 else nullcontext():
        _torchrun(torchrun_arguments(command, processes, nodes), run_dir)


def _first_address() -> str:
    """Where SLURM itself reaches the first node of this job; its name need not resolve."""
    job = os.environ["SLURM_JOB_ID"]
    try:
        nodes = _output("squeue", "-h", "-j", job, "-o", "%N")  # a step's own list may be shorter
        first = _output("scontrol", "show", "hostnames", nodes).split()[0]
        return _output("sinfo", "-h", "-N", "-n", first, "-o", "%o").split()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        raise RunError(
            f"SLURM job {job}: its nodes are unknown ({error}); check scontrol and sinfo"
        ) from error


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _torchrun(arguments: list[str], run_dir: Path) -> None:
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from dmnet.training.meeting import register

    register()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each process sets its own number of threads
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_SECONDS))
    try:
        run.run(run.parse_args(arguments))
    except ChildFailedError as error:
        statuses = {rank: failure.exitcode for rank, failure in error.failures.items()}
        raise processes_error(statuses, run_dir) from None
    except SignalException as error:
        raise ProcessesError("", 128 + int(error.sigval)) from None


def processes_error(statuses: Mapping[int, int], run_dir: Path) -> ProcessesError:
    """The error for processes that ended with these statuses (minus a signal's number).

    Processes that only lost contact, or that torchrun ended (by SIGTERM) because of another, are
    not to blame. One that ended by itself has said why.
    """
    followed = (LOST_CONTACT, -signal.SIGTERM)
    blamed = {r: s for r, s in statuses.items() if s not in followed} or dict(statuses)
    killed = {rank: status for rank, status in blamed.items() if status < 0}
    if killed:
        rank, status = min(killed.items())
        name = signal.Signals(-status).name
        return ProcessesError(
            f"{run_dir}: process {rank} was killed by {name}; its lines in this log have "
            f"[process {rank}]; the same command goes on from the last saved state",
            128 - status,
        )
    if set(blamed.values()) == {LOST_CONTACT}:
        ranks = ", ".join(map(str, sorted(blamed)))
        return ProcessesError(
            f"{run_dir}: process(es) {ranks} lost contact with those on another node, whose lines "
            "in this log say why; the same command goes on from the last saved state",
            LOST_CONTACT,
        )
    return ProcessesError("", next(s for s in blamed.values() if s >= 0))
