"""`python -m pipeline ui`: MLflow's pages of the runs, kept up to date while they train."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

from dmnet.errors import DMNetError
from pipeline.errors import RecordError
from pipeline.experiments import Experiment
from pipeline.passwords import without_secrets
from pipeline.tracking import DEFAULT_URI, ingest, named_server

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WARNING = (
    "warning: {host} is reached from other machines and these pages have no login; anyone who "
    "reaches them can read, change and delete the record (docs/mlflow.md says how to give it one)"
)


def serve(experiment: Experiment, host: str, port: int, every: float) -> None:
    """Until Ctrl-C or SIGTERM. With MLFLOW_TRACKING_URI set it only keeps that server up to date.

    every: seconds between two looks at the runs. Raises RecordError when the port is taken or the
    server ends by itself.
    """
    signal.signal(signal.SIGTERM, _end)
    uri = named_server()
    if host not in LOOPBACK and uri is None:
        print(WARNING.format(host=host), file=sys.stderr)
    server = None
    try:
        _feed(experiment)  # first, as it also creates the database
        if uri is None:
            _check_free(host, port)
            server = _start(host, port)
        where = f"http://{host}:{port}" if uri is None else without_secrets(uri)
        print(f"MLflow: {where}; curves follow every {every:g} s; Ctrl-C ends this", flush=True)
        while server is None or server.poll() is None:
            time.sleep(every)
            _feed(experiment)
        raise RecordError(f"the MLflow server ended with {server.returncode}; its reason is above")
    except KeyboardInterrupt:
        pass
    finally:
        if server is not None:
            _stop(server)


def _feed(experiment: Experiment) -> None:
    """A look that fails is told; the next one may not."""
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


def _start(host: str, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    command += ["--backend-store-uri", DEFAULT_URI, "--default-artifact-root", "mlartifacts"]
    command += ["--workers", "1"]
    # In a session of its own: Ctrl-C reaches this process, which then ends the whole server.
    return subprocess.Popen(command, start_new_session=True)


def _stop(server: subprocess.Popen[bytes]) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sent)
            server.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _end(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
