"""One side's process, as the parent sees it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from dmnet.errors import DMNetError

ROOT = Path(__file__).resolve().parents[1]


class BenchError(DMNetError):
    """The comparison cannot be made, or the two sides do not compute the same."""


class Peer:
    """Start `python -m module` with `threads` threads and `path` as PYTHONPATH; stderr to `log`."""

    def __init__(
        self,
        name: str,
        python: Path,
        module: str,
        threads: int,
        log: Path,
        path: Path | None = None,
    ) -> None:
        self.name, self.log = name, log
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        if path is not None:
            environment["PYTHONPATH"] = str(path)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [python, "-m", module],
                cwd=ROOT,
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer. Raises BenchError when it fails."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise BenchError(f"{self.name}: its process ended; the end of {self.log} says why")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(f"{self.name}: {answer['error']}; see {self.log}")
        return answer

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
