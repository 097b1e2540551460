"""`python -m pipeline ui`: MLflow's pages of the runs, kept up to date while they train."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from dmnet.addresses import place_of
from dmnet.errors import DMNetError
from pipeline.errors import RecordError
from pipeline.experiments import Experiment
from pipeline.tracking import ingest, team_server

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY = ("0.0.0.0", "::")
WARNING = (
    "warning: {host} is reached from other machines, and the token crosses the network as it is; "
    "`ssh -N -L {port}:127.0.0.1:{port}` to this machine needs neither (docs/mlflow.md)"
)


def serve(experiment: Experiment, host: str, port: int, every: float) -> None:
    """Until Ctrl-C or SIGTERM. With MLFLOW_TRACKING_URI set it only keeps that server up to date.

    every: seconds between two looks at the runs. Raises RecordError when the port is taken or the
    server ends by itself.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    uri = team_server()
    if host not in LOOPBACK and uri is None:
        print(WARNING.format(host=host, port=port), file=sys.stderr)
    server = None
    try:
        _feed(experiment)  # first, as it also creates the database
        if uri is None:
            _check_free(host, port)
            token = secrets.token_urlsafe(32)
            server = _start(host, port, names(host), token)
            # The one place where a token is printed: this link is the login.
            opened = socket.gethostname() if host in ANY else _bracketed(host)
            where = f"http://{opened}:{port}/?token={token}"
        else:
            where = place_of(uri)
        print(f"MLflow: {where} ; curves follow every {every:g} s; Ctrl-C ends this", flush=True)
        while server is None or server.poll() is None:
            time.sleep(every)
            _feed(experiment)
        raise RecordError(f"the MLflow server ended with {server.returncode}; its reason is above")
    except KeyboardInterrupt:
        pass
    finally:
        if server is not None:
            _stop(server)


def names(host: str) -> list[str]:
    """What a browser may call a server that listens at `host`: no patterns, no other names.

    A page of a stranger may have its own name lead to this machine; what it then asks has that
    name.
    """
    hosts = ["127.0.0.1", "localhost", "[::1]"]
    if host in ANY:
        hosts += [socket.gethostname(), socket.getfqdn()]
    elif host not in LOOPBACK:
        hosts.append(_bracketed(host))
    return [name.lower() for name in hosts]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _feed(experiment: Experiment) -> None:
    """Look again and again; a failure is printed, and the next look may succeed."""
    try:
        ingest(experiment, {*experiment.runs, *experiment.releases}, live=True)
    except DMNetError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)


def _check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RecordError(
                f"port {port} of {host}: cannot be listened on ({error.strerror}); "
                "end what uses it, or give --port another number"
            ) from error


def _start(host: str, port: int, hosts: Sequence[str], token: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipeline.tracking.server", host, str(port), *hosts]
    # In a session of its own: Ctrl-C reaches this process, which then ends the whole server.
    server = subprocess.Popen(command, start_new_session=True, stdin=subprocess.PIPE)
    assert server.stdin is not None
    with server.stdin:
        server.stdin.write(f"{token}\n".encode())
    return server


def _stop(server: subprocess.Popen[bytes]) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sent)
            server.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
