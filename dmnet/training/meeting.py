"""How the processes of a run find each other, and who else could reach them there.

    one machine     a file in a folder of this user alone; all sockets are on the loopback interface
    several nodes   a store of PyTorch's on one port of the first node, on the address by which
                    SLURM reaches it and on no other

PyTorch's stores ask nobody who they are. So nothing in them is ever unpickled: torchrun's own
rendezvous keeps a pickled state there, which is why it has none of its own here. docs/slurm.md says
what remains.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from torch.distributed.elastic.rendezvous import (
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)
from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

from dmnet.errors import ConfigError, RunError
from dmnet.processes import MEETING

log = logging.getLogger(__name__)

BACKEND = "dmnet"  # torchrun's --rdzv-backend
SECRET = "DMNET_SECRET"  # of a job on several nodes: tells its store from another's
OPEN_TIMEOUT = timedelta(minutes=5)  # for the launchers of all nodes to start
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


class Meeting(StaticTCPRendezvous):
    """Fixed from the beginning: so many nodes, each of which knows its number."""

    def __init__(self, store: dist.Store, node: int, nodes: int, run_id: str, address: str) -> None:
        host, _, port = address.rpartition(":")
        super().__init__(host, int(port), node, nodes, run_id, timeout=0)  # it never waits
        self.store = store

    @property
    def use_agent_store(self) -> bool:
        """Whether a process joins the store of its launcher; on one machine it has the file."""
        return self.world_size > 1

    def get_backend(self) -> str:
        return BACKEND

    def next_rendezvous(self) -> RendezvousInfo:
        bootstrap = RendezvousStoreInfo(self.master_addr, self.master_port)
        return RendezvousInfo(self.store, self.rank, self.world_size, bootstrap)


def _handler(parameters: RendezvousParameters) -> Meeting:
    run_id, nodes = parameters.run_id, parameters.max_nodes
    if nodes == 1:  # one launcher has nobody to talk to
        return Meeting(dist.HashStore(), 0, 1, run_id, "localhost:0")
    node = int(os.environ.get("SLURM_NODEID", "-1"))
    if not 0 <= node < nodes:
        raise ConfigError(f"SLURM_NODEID={node}: expected the number of this of {nodes} nodes")
    store = store_of_nodes(parameters.endpoint, node, os.environ.get(SECRET, run_id))
    return Meeting(dist.PrefixStore(run_id, store), node, nodes, run_id, parameters.endpoint)


def store_of_nodes(
    address: str, node: int, secret: str, timeout: timedelta = OPEN_TIMEOUT
) -> dist.TCPStore:
    """The store at host:port; node 0 opens it, on that address only.

    Raises RunError where the port is taken, also by another job's store, or nobody answers.
    """
    host, _, port = address.rpartition(":")
    try:
        if node == 0:
            listening = _listen(host, int(port))
            store = dist.TCPStore(
                host,
                int(port),
                is_master=True,
                timeout=timeout,
                master_listen_fd=listening.detach(),
                wait_for_workers=False,
            )
            store.set("of", secret)
        else:
            store = dist.TCPStore(host, int(port), timeout=timeout, wait_for_workers=False)
        owner = store.get("of").decode(errors="replace")
    except (OSError, RuntimeError, dist.DistError) as error:
        reason = str(error).splitlines()[0][:200]
        raise RunError(
            f"node {node}: no meeting at {address} ({reason}); free the port or queue the job again"
        ) from error
    if not secrets.compare_digest(owner.encode(), secret.encode()):
        raise RunError(f"node {node}: at {address} another job meets; queue the job again")
    return store


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    try:
        return socket.create_server(where[:2], family=family)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        # SLURM reaches this node through an address that it does not have itself (NAT).
        log.warning("%s is no address of this node: port %d is open on all it has", host, port)
        return socket.create_server(("", port))


def register() -> None:
    """Make `Meeting` known to torchrun in this process; once or more often."""
    rendezvous_handler_registry.register(BACKEND, _handler)


def loopback() -> str:
    """The name of the interface that leads nowhere else."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in ("lo", "lo0") if name in names), "lo")


@contextmanager
def on_this_machine(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """What processes started within it inherit: where they meet, and no interface but loopback."""
    with tempfile.TemporaryDirectory(prefix="dmnet-") as folder:  # no other user may enter it
        environment[MEETING] = str(Path(folder, "meeting").absolute())
        environment.update(dict.fromkeys(INTERFACES, loopback()))
        yield
