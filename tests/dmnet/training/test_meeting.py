"""How processes find each other, and that nobody else can: on one machine, and on several nodes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from dmnet.config import DatasetConfig, JobConfig
from dmnet.errors import RunError
from dmnet.files import write_text
from dmnet.training.history import read_history
from dmnet.training.meeting import store_of_nodes

ROOT = Path(__file__).resolve().parents[3]
SHORT = timedelta(seconds=5)
LISTENING = "0A"  # in /proc/net/tcp

Prepared = tuple[DatasetConfig, Path]
MakeJob = Callable[..., JobConfig]


def descendants(process: int) -> list[int]:
    """The process and all that it started, and these started. torchrun opens sessions."""
    found = [process]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # ended meanwhile
    return found


def sockets_of(processes: list[int]) -> set[str]:
    """The inodes of all sockets that they hold."""
    found = set()
    for process in processes:
        for entry in Path(f"/proc/{process}/fd").glob("*"):
            try:
                found.add(os.readlink(entry))
            except OSError:
                continue  # closed meanwhile
    return {name[8:-1] for name in found if name.startswith("socket:[")}


def listening(process: int) -> set[str]:
    """The addresses on which it, or what it started, accepts connections."""
    inodes, found = sockets_of(descendants(process)), set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == LISTENING and words[9] in inodes:
                packed = bytes.fromhex(words[1].split(":")[0])
                # Words of four bytes, each in the machine's order.
                turned = [packed[i : i + 4][::-1] for i in range(0, len(packed), 4)]
                found.add(str(ip_address(b"".join(turned))))
    return found


def is_loopback(address: str) -> bool:
    found = ip_address(address)
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def test_processes_of_one_machine_listen_on_loopback_alone_and_leave_no_temporary_files(
    tmp_path: Path, drawn_data: Prepared, make_job: MakeJob
) -> None:
    """Looked at in mid-training: torchrun's meeting, gloo's connections and all else."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    job = make_job(
        drawn_data[0],
        recipe={"batch_size": 4, "iterations": 400},
        execution={"processes": 2, "log_every": 1, "checkpoint_every": 400, "validate_every": 400},
    )
    config = tmp_path / "runs" / job.run.key / "config.json"
    write_text(config, job.model_dump_json())
    command = [sys.executable, "-m", "dmnet", "train", "--config", str(config)]
    process = subprocess.Popen(
        [*command, "--data", str(drawn_data[1])],
        cwd=ROOT,
        env=os.environ
        | {"GLOO_SOCKET_IFNAME": "eth0", "TMPDIR": str(temporary)},  # eth0 of another machine
        stderr=subprocess.PIPE,
        text=True,
    )
    found: set[str] = set()
    while process.poll() is None and not read_history(config.parent / "history.jsonl"):
        found |= listening(process.pid)
        time.sleep(0.1)
    found |= listening(process.pid)
    process.terminate()
    output = process.communicate(timeout=120)[1]
    assert "by SIGTERM; run the same command to go on" in output
    assert found and all(is_loopback(address) for address in found), found
    left = [path.name for path in temporary.iterdir()]
    assert all(name.startswith("torchinductor_") for name in left), left  # PyTorch's cache, reused


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_nodes_meet_at_one_address_of_the_first() -> None:
    """127.0.0.2 plays the address by which SLURM reaches the node, 127.0.0.1 any other."""
    address = f"127.0.0.2:{free_port()}"
    first = store_of_nodes(address, 0, "secret", SHORT)
    first.set("word", "hello")
    assert store_of_nodes(address, 1, "secret", SHORT).get("word") == b"hello"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(address.split(":")[1])), timeout=5)


def test_another_jobs_store_and_a_taken_port_are_one_line() -> None:
    address = f"127.0.0.1:{free_port()}"
    first = store_of_nodes(address, 0, "secret", SHORT)
    with pytest.raises(RunError, match=r"node 1: at .* another job meets; queue the job again"):
        store_of_nodes(address, 1, "another", SHORT)
    with pytest.raises(RunError, match=r"node 0: no meeting at .*in use.*free the port"):
        store_of_nodes(address, 0, "another", SHORT)
    assert first.get("of") == b"secret"


def test_a_first_node_that_never_comes_is_one_line() -> None:
    with pytest.raises(RunError, match="node 1: no meeting at"):
        store_of_nodes(f"127.0.0.1:{free_port()}", 1, "secret", timedelta(seconds=1))


def test_who_comes_first_waits_for_the_first_node() -> None:
    address = f"127.0.0.1:{free_port()}"
    opened = []
    timer = threading.Timer(1, lambda: opened.append(store_of_nodes(address, 0, "s", SHORT)))
    timer.start()
    assert store_of_nodes(address, 1, "s", SHORT).get("of") == b"s"
    timer.join()
