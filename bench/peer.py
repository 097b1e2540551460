"""One side's process, as the parent sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from dmnet.errors import DMNetError

ROOT = Path(__file__).resolve().parents[1]


class BenchError(DMNetError):
    """The comparison cannot be made, or the two sides do not compute the same."""


class Peer:
    """`python -m module` with `threads` threads and `path` on PYTHONPATH; stderr to `log`.

    Another interpreter than this one does not get this one's PYTHONPATH.
    """

    def __init__(
        self,
        name: str,
        python: Path,
        module: str,
        threads: int,
        log: Path,
        path: Path | None = None,
    ) -> None:
        self.name, self.log, self._command = name, log, [str(python), "-m", module]
        self._environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self._environment["MKL_NUM_THREADS"] = str(threads)
        own = self._environment.pop("PYTHONPATH", "") if python == Path(sys.executable) else ""
        self._environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(path or ""), own)))
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        self.process, self.failed = self._started(), False

    def _started(self) -> subprocess.Popen[str]:
        with self.log.open("a") as stderr:
            return subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )

    def revive(self) -> None:
        """Begin anew after a failure: a GPU's errors stay with the process that made them."""
        if self.failed:
            self.process.kill()
            self.process.wait()
            self.process, self.failed = self._started(), False

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer. Raises BenchError when it fails."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer: dict[str, Any] = json.loads(line) if line else {}
        self.failed = not line or "error" in answer
        if not line:
            raise BenchError(f"{self.name}: its process ended; the end of {self.log} says why")
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
