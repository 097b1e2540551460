"""The process that serves the pages: `python -m pipeline.tracking.server HOST PORT NAME...`.

HOST, PORT: where it listens. NAME: every name that it may be asked under. The token comes as the
first line of standard input, as others can read a command line. It listens until it is signalled.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from gunicorn.app.base import BaseApplication

from pipeline.tracking.gate import Gate
from pipeline.tracking.pages import application
from pipeline.tracking.place import ARTIFACTS, DEFAULT_URI

# So the page hides what is not served here; no job runner is started in any case.
SETTINGS = {
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS": "false",
    "MLFLOW_ENABLE_WORKSPACES": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Server(BaseApplication):
    """gunicorn with these settings alone: no file of the folder and no variable adds to them."""

    def __init__(self, host: str, port: int, hosts: frozenset[str], token: str) -> None:
        self.host, self.port, self.hosts, self.token = host, port, hosts, token
        super().__init__()

    def load_config(self) -> None:
        bracketed = f"[{self.host}]" if ":" in self.host else self.host
        settings = {
            "bind": f"{bracketed}:{self.port}",
            "worker_class": "gthread",
            "workers": 1,  # SQLite takes one writer
            "threads": 8,
            "loglevel": "warning",  # an access log would hold the token
            "control_socket_disable": True,
            "graceful_timeout": 2,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        os.environ.update(SETTINGS)
        return Gate(application(DEFAULT_URI, ARTIFACTS), self.token, self.hosts, self.port)


def main() -> None:
    host, port, *names = sys.argv[1:]
    token = sys.stdin.readline().strip()
    if not token:
        sys.exit("error: no token on standard input; `python -m pipeline ui` starts this")
    Server(host, int(port), frozenset(names), token).run()


if __name__ == "__main__":
    main()
