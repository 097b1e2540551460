"""A real SLURM cluster on this one machine, everything it writes in one folder.

python tests/slurm/cluster.py start FOLDER        and stop, restart-slurmctld, kill-slurmctld, ...

munged, MariaDB, slurmdbd, slurmctld and one slurmd per virtual node are Debian's; they listen on
loopback only, on ports that were free when the cluster was started. README.md beside this file says
what the cluster looks like and why.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("slurmctld", "slurmd", "slurmdbd", "slurm-client", "munge", "mariadb-server")
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "mariadb-install-db", "sbatch")
NODES = tuple(f"node{number}" for number in range(1, 9))
GPUS_PER_NODE = 2
ACCOUNT = "dmnet"
DAEMONS = ("slurmctld", "slurmdbd", "mariadbd", "munged")  # in the order of stopping, after slurmd
SECONDS = 30  # for anything to come up or go away

SLURM_CONF = """\
ClusterName=onemachine
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[slurmctld]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
# cred_expire is also how long a requeued job waits before it starts again: 10 s is the least.
AuthInfo=socket={folder}/munge.socket,cred_expire=10
# Nothing listens beyond this machine.
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ReturnToService=2              # a node that died and came back is used again without an operator
MpiDefault=none
ProctrackType=proctrack/linuxproc   # needs no cgroups, which containers do not give
TaskPlugin=task/none
SwitchType=switch/none
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmdSpoolDir={folder}/spool/%n
SlurmdParameters=config_overrides   # believe the sizes below, whatever this machine has
SlurmctldTimeout=20
# Seconds until a silent node is down and its jobs are queued again.
SlurmdTimeout={slurmd_timeout}
InactiveLimit=0
MinJobAge=300
# KillWait: from SIGTERM to SIGKILL at a time limit or a cancellation. Small, as a training does not
# rely on it: what counts is the last state that it saved.
KillWait=3
CompleteWait=0
OverTimeLimit=0                # a time limit is one
JobRequeue=1                   # preempted or on a lost node: queued again with its id, not failed
# No RequeueExit: a job that fails by itself is Snakemake's to repeat, not SLURM's.
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,bf_resolution=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# Without cgroups, memory limits hold by sampling: every second, and what is above is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[slurmdbd]}
AccountingStoragePass={folder}/munge.socket   # not a password: AuthInfo for this connection
AccountingStorageEnforce=associations
AccountingStoreFlags=job_comment   # the plugin keeps the rule's name there, for its report
AccountingStorageTRES=gres/gpu
GresTypes=gpu
{nodes}
PartitionName=batch Nodes=ALL Default=YES MaxTime=120 DefMemPerCPU=500 PriorityTier=1 \
PreemptMode=REQUEUE State=UP
PartitionName=urgent Nodes=ALL MaxTime=120 DefMemPerCPU=500 PriorityTier=10 PreemptMode=OFF State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=12000 \
Gres=gpu:v100:{gpus} State=UNKNOWN"
GRES_CONF = "NodeName={name} Name=gpu Type=v100 File={folder}/gpu[0-{last}]\n"
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports[slurmdbd]}
SlurmUser=root
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=slurm_acct_db
"""


class ClusterError(Exception):
    """One line: what failed, and which log tells more."""


def wait_until(
    what: str, condition: Callable[[], Any], log: Path | None = None, seconds: float = SECONDS
) -> Any:
    """What `condition` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    more = f"; see {log}" if log else ""
    raise ClusterError(f"{what} did not happen within {seconds} s{more}")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def check_machine() -> None:
    """Install what is missing, or say what cannot be done here."""
    if os.geteuid() != 0:
        raise ClusterError("the daemons need root (several slurmd on one machine); run as root")
    if all(shutil.which(name) for name in PROGRAMS):
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(
            f"missing {', '.join(n for n in PROGRAMS if not shutil.which(n))}, and there is no "
            f"apt-get to install {' '.join(PACKAGES)} with; install SLURM (with MULTIPLE_SLURMD)"
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
    ):
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise ClusterError(f"`{' '.join(command)}` failed: {last}")


class Cluster:
    """The cluster in `folder`; the folder's name must be short, as it holds Unix sockets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "log"
        if len(str(self.folder)) > 80:
            raise ClusterError(f"{self.folder}: too long a path for Unix sockets; at most 80 bytes")

    @property
    def environment(self) -> dict[str, str]:
        """What a user of this cluster must have set."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def call(self, *command: str) -> str:
        """A SLURM command's output. Raises ClusterError with what it said."""
        result = subprocess.run(
            command,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        if result.returncode != 0:
            said = (result.stderr or result.stdout).strip()
            raise ClusterError(f"`{' '.join(command)}` failed: {said}")
        return result.stdout

    # Daemons

    def start(self, slurmd_timeout: int = 20) -> None:
        """Start what does not run; a second call changes nothing."""
        check_machine()
        if not (self.folder / "slurm.conf").exists():
            self._write_configuration(slurmd_timeout)
        if not self.running("munged"):
            self._start_munged()
        if not self.running("mariadbd"):
            self._start_database()
        if not self.running("slurmdbd"):
            self._daemon("slurmdbd")
            self._wait("slurmdbd", lambda: self._answers("sacctmgr", "-n", "list", "cluster"))
            self._add_accounts()
        if not self.running("slurmctld"):
            self.start_slurmctld()
        for node in NODES:
            self.start_slurmd(node, wait=False)
        self._wait("slurmctld", lambda: all(state == "idle" for state in self.states().values()))

    def stop(self) -> None:
        """End every process of the cluster and of its jobs; the folder stays, with its logs."""
        if self.running("slurmctld"):
            try:
                self.call("scancel", f"--user={_user()}")
                jobs = lambda: not self.call("squeue", "-h").strip()  # noqa: E731
                wait_until("the end of all jobs", jobs)
            except (ClusterError, subprocess.TimeoutExpired) as error:
                print(f"warning: {error}", file=sys.stderr)
        for node in NODES:
            self.kill(f"slurmd-{node}", signal.SIGTERM)
        for name in DAEMONS:
            self.kill(name, signal.SIGTERM)
        for name in (*DAEMONS, *(f"slurmd-{node}" for node in NODES)):
            try:
                wait_until(f"the end of {name}", lambda name=name: not self.running(name))
            except ClusterError:
                self.kill(name, signal.SIGKILL)
        for pid in self._of_this_cluster("slurmstepd"):
            os.kill(pid, signal.SIGKILL)

    def start_slurmctld(self) -> None:
        self._daemon("slurmctld")
        self._wait("slurmctld", lambda: self._answers("sinfo"))

    def wait_until_saved(self, job: str) -> None:
        """Until slurmctld has written down that the job runs, which it does some seconds later.

        Killed before, it takes the job for pending when it starts again: it ends it, starts it a
        second time and drains the node.
        """
        asked = time.time()
        self.call("scontrol", "update", f"JobId={job}", "AdminComment=saved")
        state = self.folder / "state" / "job_state"
        saved = lambda: state.exists() and state.stat().st_mtime > asked  # noqa: E731
        wait_until("slurmctld's saved state", saved, self.log / "slurmctld.log")

    def start_slurmd(self, node: str, wait: bool = True) -> None:
        if not self.running(f"slurmd-{node}"):
            (self.folder / "spool" / node).mkdir(parents=True, exist_ok=True)
            self._daemon("slurmd", "-N", node)
        if wait:
            usable = ("idle", "mixed", "allocated")
            self._wait(f"slurmd-{node}", lambda: self.states()[node] in usable)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a daemon (`slurmctld`, `slurmd-node1`), if it runs."""
        if (pid := self.pid(name)) is not None:
            os.kill(pid, number)
            if number == signal.SIGKILL:
                wait_until(f"the end of {name}", lambda: not self.running(name))

    def running(self, name: str) -> bool:
        return self.pid(name) is not None

    def pid(self, name: str) -> int | None:
        """Of the daemon, if it runs; a pid file whose number went to another process is stale."""
        try:
            pid = int((self.folder / f"{name}.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return None
        return pid if name.split("-", maxsplit=1)[0] in command and state != "Z" else None

    def states(self) -> dict[str, str]:
        """node -> its state, as sinfo gives it."""
        lines = self.call("sinfo", "-h", "-N", "-p", "batch", "-o", "%N %T").splitlines()
        return {line.split()[0]: line.split()[1].rstrip("*") for line in lines}

    def steps(self, job: str) -> list[int]:
        """Process ids of the job's slurmstepd: of its batch script and of its steps."""
        return self._of_this_cluster(f"slurmstepd: [{job}.")

    # Setting up

    def _write_configuration(self, slurmd_timeout: int) -> None:
        for name in ("", "bin", "log", "state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        os.chmod(self.folder, 0o755)  # munged's clients must reach its socket
        ports = dict(
            zip(("slurmctld", "slurmdbd", *NODES), free_ports(2 + len(NODES)), strict=True)
        )
        host = socket.gethostname().split(".")[0]
        nodes = "\n".join(
            NODE.format(name=node, host=host, port=ports[node], gpus=GPUS_PER_NODE)
            for node in NODES
        )
        for number in range(GPUS_PER_NODE):
            (self.folder / f"gpu{number}").touch()  # SLURM wants a file per device, and counts it
        gres = [
            GRES_CONF.format(name=node, folder=self.folder, last=GPUS_PER_NODE - 1)
            for node in NODES
        ]
        (self.folder / "gres.conf").write_text("".join(gres))
        dbd = self.folder / "slurmdbd.conf"
        dbd.write_text(SLURMDBD_CONF.format(folder=self.folder, ports=ports, user=_user()))
        os.chmod(dbd, 0o600)  # slurmdbd insists
        conf = SLURM_CONF.format(
            host=host, folder=self.folder, ports=ports, nodes=nodes, slurmd_timeout=slurmd_timeout
        )
        # Inside a job the plugin clears SLURM_CONF before it calls srun.
        srun = self.folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec /usr/bin/srun "$@"\n')
        srun.chmod(0o755)
        (self.folder / "slurm.conf").write_text(conf)  # last: it says that all of it is there

    def _start_munged(self) -> None:
        key = self.folder / "munge.key"
        if not key.exists():
            key.touch(0o600)
            key.write_bytes(os.urandom(128))
        files = {
            **{"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"},
            **{"log-file": "log/munged.log", "seed-file": "munge.seed"},
        }
        options = [f"--{name}={self.folder / path}" for name, path in files.items()]
        self._run("munged", "--force", "--num-threads=2", *options)
        self._wait("munged", (self.folder / "munge.socket").exists)

    def _start_database(self) -> None:
        data, socket_file = self.folder / "database", self.folder / "database.socket"
        if not (data / "mysql").exists():
            self._run(
                *("mariadb-install-db", "--no-defaults", f"--user={_user()}", f"--datadir={data}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
            )
        command = [
            *("mariadbd", "--no-defaults", f"--user={_user()}", f"--datadir={data}"),
            *(f"--socket={socket_file}", f"--pid-file={self.folder / 'mariadbd.pid'}"),
            "--skip-networking",
            *("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"),
            *("--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0"),
        ]
        with (self.log / "mariadbd.log").open("ab") as output:
            subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        ping = ("mariadb-admin", "--no-defaults", f"--socket={socket_file}", "ping")
        self._wait("mariadbd", lambda: self._answers(*ping))

    def _add_accounts(self) -> None:
        if ACCOUNT in self.call("sacctmgr", "-n", "-P", "list", "account", "format=account"):
            return
        self.call("sacctmgr", "-i", "add", "cluster", "onemachine")
        self.call("sacctmgr", "-i", "add", "account", ACCOUNT)
        # root is there from the beginning, in an account of its own.
        self.call("sacctmgr", "-i", "add", "user", _user(), f"account={ACCOUNT}")
        self.call("sacctmgr", "-i", "modify", "user", _user(), "set", f"defaultaccount={ACCOUNT}")

    def _daemon(self, name: str, *arguments: str) -> None:
        """slurmdbd, slurmctld, slurmd: they go to the background by themselves."""
        conf = [] if name == "slurmdbd" else ["-f", str(self.folder / "slurm.conf")]
        self._run(name, *conf, *arguments)

    def _run(self, *command: str) -> None:
        # libmariadb, and so slurmdbd, has no other way to be told its socket.
        extra = {"MYSQL_UNIX_PORT": str(self.folder / "database.socket")}
        with (self.log / f"{command[0]}.start.log").open("wb") as output:
            result = subprocess.run(
                command,
                env=os.environ | self.environment | extra,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if result.returncode != 0:
            said = (self.log / f"{command[0]}.start.log").read_text(errors="replace").strip()
            last = (said.splitlines() or ["no message"])[-1]
            raise ClusterError(f"`{command[0]}` ended with {result.returncode}: {last}")

    def _answers(self, *command: str) -> bool:
        try:
            self.call(*command)
        except (ClusterError, subprocess.TimeoutExpired):
            return False
        return True

    def _wait(self, name: str, condition: Callable[[], bool]) -> None:
        wait_until(f"{name}: ready", condition, self.log / f"{name}.log")

    def _of_this_cluster(self, title: str) -> list[int]:
        """Processes whose title begins so and whose environment names this slurm.conf."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                opened = [os.readlink(one) for one in (path / "fd").iterdir()]
            except OSError:
                continue
            if command.startswith(title) and any(str(self.folder) in name for name in opened):
                found.append(int(path.name))
        return found


def _user() -> str:
    return getpass.getuser()


def show(cluster: Cluster) -> None:
    """Which daemons run, and what SLURM says."""
    for name in (*(f"slurmd-{node}" for node in NODES), *DAEMONS):
        print(f"{name:14} {cluster.pid(name) or 'not running'}")
    if cluster.running("slurmctld"):
        print(cluster.call("sinfo"), cluster.call("squeue"), sep="\n")


def show_environment(cluster: Cluster) -> None:
    for name, value in cluster.environment.items():
        print(f"export {name}={shlex.quote(value)}")


def start(cluster: Cluster) -> None:
    cluster.start()
    show_environment(cluster)


def restart_slurmctld(cluster: Cluster) -> None:
    cluster.kill("slurmctld")
    cluster.start_slurmctld()


COMMANDS: dict[str, Callable[[Cluster], None]] = {
    "start": start,
    "stop": Cluster.stop,
    "status": show,
    "environment": show_environment,
    "kill-slurmctld": lambda cluster: cluster.kill("slurmctld"),
    "restart-slurmctld": restart_slurmctld,
}
NODE_COMMANDS: dict[str, Callable[[Cluster, str], None]] = {
    "kill-slurmd": lambda cluster, node: cluster.kill(f"slurmd-{node}"),
    "start-slurmd": Cluster.start_slurmd,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=(*COMMANDS, *NODE_COMMANDS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("node", nargs="?", choices=NODES, help="for kill-slurmd and start-slurmd")
    options = parser.parse_args()
    if options.command in NODE_COMMANDS and options.node is None:
        parser.error(f"{options.command} FOLDER NODE: which node? one of {', '.join(NODES)}")
    try:
        cluster = Cluster(options.folder)
        if options.command in COMMANDS:
            COMMANDS[options.command](cluster)
        else:
            NODE_COMMANDS[options.command](cluster, options.node)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
