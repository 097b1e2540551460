"""Real servers for tests: PostgreSQL, an MLflow server on it, S3, and servers that misbehave.

All listen on loopback (or a socket file) only, on ports that were free, and write nothing outside
the folder that they are given. Each is a context manager that ends what it started.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECONDS = 90  # for a server to come up on a busy machine


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def answers(url: str) -> bool:
    """Whether there is any HTTP answer."""
    return status(url, 2) is not None


def status(url: str, seconds: float = 60, **headers: str) -> int | None:
    """Of the answer to a GET; None without one."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as got:
            return int(got.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def printed_token(log: Path) -> str | None:
    """Of the link that `python -m pipeline ui` has printed to this file by now."""
    found = re.search(r"/\?token=(\S+)", log.read_text())
    return found[1] if found else None


@dataclass
class Server:
    """A process group that listens at `url`."""

    process: subprocess.Popen[bytes]
    url: str

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        """From now on it accepts connections (its kernel does) and never answers."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)


def start(command: list[str], log: Path, cwd: Path, **environment: str) -> subprocess.Popen[bytes]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_"))}
    with log.open("ab") as stream:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=kept | environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own; its SQLAlchemy address. Root cannot run it, so `postgres` does.

    Its folder is not pytest's, which every new session of pytest closes to other users.
    """
    with tempfile.TemporaryDirectory(prefix="postgresql-") as name:
        yield from _postgresql(Path(name))


def _postgresql(folder: Path) -> Iterator[str]:
    (programs, *_) = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    data, sockets = folder / "pgdata", folder / "pgsocket"
    for path in (data, sockets):
        path.mkdir(parents=True)
    user = pwd.getpwuid(os.getuid()).pw_name
    prefix: list[str] = []
    if os.getuid() == 0:
        prefix, user = (
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"],
            "postgres",
        )
        for path in (data, sockets):
            shutil.chown(path, user, user)
        folder.chmod(0o711)
    password = folder / "password"
    password.write_text("only-for-tests\n")
    password.chmod(0o644)
    made = subprocess.run(
        [*prefix, str(programs / "initdb"), "-D", str(data), "-U", user, "-A", "scram-sha-256"]
        + ["--pwfile", str(password), "-E", "UTF8", "--no-locale", "-N"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    port = free_port()
    options = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(sockets)]
    options += ["-c", "fsync=off", "-c", "max_connections=200"]
    log = folder / "postgresql.log"
    process = start([*prefix, str(programs / "postgres"), "-D", str(data), *options], log, folder)
    try:
        ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        wait_until(lambda: subprocess.call(ready) == 0, f"PostgreSQL ({log})")
        yield f"postgresql://{user}:only-for-tests@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@contextmanager
def mlflow_server(
    folder: Path, database: str, port: int | None = None, password: str | None = None
) -> Iterator[Server]:
    """A tracking server as docs/mlflow.md starts it for a team, artifacts beside it.

    password: of its user `admin`; without one it has no login, which is for tests only.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "2"]
    command += ["--gunicorn-opts", "--threads 8 --no-control-socket --timeout 300"]
    environment = {"MLFLOW_BACKEND_STORE_URI": database, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["MLFLOW_SERVER_ALLOWED_HOSTS"] = f"127.0.0.1:{port}"
    environment |= dict.fromkeys(
        ("MLFLOW_ENABLE_AI_GATEWAY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"), "false"
    )
    if password is not None:
        command += ["--app-name", "basic-auth"]
        (folder / "auth.ini").write_text(
            "[mlflow]\ndefault_permission = EDIT\nadmin_username = admin\n"
            f"admin_password = {password}\ndatabase_uri = sqlite:///{folder}/auth.db\n"
        )
        environment["MLFLOW_AUTH_CONFIG_PATH"] = str(folder / "auth.ini")
        environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] = "only-for-tests"
    log = folder / "mlflow.log"
    process = start(command, log, folder, **environment)
    server = Server(process, url)
    try:
        wait_until(lambda: answers(f"{url}/health"), f"the MLflow server ({log})")
        yield server
    finally:
        server.kill()


@contextmanager
def s3(folder: Path) -> Iterator[dict[str, str]]:
    """SeaweedFS with a bucket `runs`: endpointurl, and the environment that has its key."""
    weed = Path(sys.executable).parent / "weed"
    folder.mkdir(parents=True)
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    config = folder / "s3.json"
    key, secret = "tester", "only-for-tests"
    config.write_text(
        f'{{"identities": [{{"name": "t", "credentials": [{{"accessKey": "{key}", '
        f'"secretKey": "{secret}"}}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}}]}}'
    )
    command = [str(weed), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-filer", "-s3", f"-s3.config={config}", "-volume.max=20"]
    command += ["-master.volumeSizeLimitMB=64"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += [f"-{name}.port.grpc={free_port()}" for name in ports]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    log = folder / "s3.log"
    process = start(command, log, folder)
    url = f"http://127.0.0.1:{ports['s3']}"
    try:
        wait_until(lambda: answers(url), f"the S3 server ({log})")
        import botocore.session

        client = botocore.session.Session().create_client(
            "s3", "us-east-1", endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret
        )

        def made() -> bool:
            with suppress(Exception):
                client.create_bucket(Bucket="runs")
                return True
            return False

        wait_until(made, f"the bucket ({log})")
        yield {"endpointurl": url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def ssh(folder: Path) -> Iterator[dict[str, str]]:
    """sshd of this user, with a host key and a user's key of its own: url and keyfile."""
    folder.mkdir(parents=True)
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/user_key.pub\nAuthenticationMethods publickey\n"
        "StrictModes no\nUsePAM no\nSubsystem sftp internal-sftp\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd drops its privileges to
    log = folder / "ssh.log"
    process = start(["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config")], log, folder)

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as connection:
            return connection.recv(3) == b"SSH"
        return False

    try:
        wait_until(listens, f"sshd ({log})")
        user = pwd.getpwuid(os.getuid()).pw_name
        url = f"ssh://{user}@127.0.0.1:{port}{folder}/store"
        yield {"url": url, "keyfile": str(folder / "user_key")}
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def refusing(status: int) -> Iterator[str]:
    """A server that answers everything with this status; its address."""

    class Refuse(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>no</html>")

        do_GET = do_POST = do_PUT = do_PATCH = _refuse  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield int(server.getsockname()[1])
