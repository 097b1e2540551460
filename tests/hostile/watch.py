"""One call under watch: what it may do, and what is a fault."""

from __future__ import annotations

import dataclasses
import faulthandler
import math
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any

from dmnet.errors import DMNetError
from dmnet.text import CONTROL, LONGEST

SECONDS = 20.0  # by the clock for one call; the slowest takes one
NO_NUMBER = re.compile(
    r"(?<![\w./-])[+-]?(nan|inf(inity)?)(?![\w./-]| is no number)", re.IGNORECASE
)
OBJECT = re.compile(r" at 0x[0-9a-f]{6,}")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = (  # audit event -> which of its arguments are paths that it changes
    *(("os.rename", (0, 1)), ("os.remove", (0,)), ("os.rmdir", (0,)), ("os.mkdir", (0,))),
    *(("os.link", (1,)), ("os.symlink", (1,)), ("os.truncate", (0,)), ("os.chmod", (0,))),
    *(("os.chown", (0,)), ("os.utime", (0,)), ("shutil.rmtree", (0,)), ("os.mkfifo", (0,))),
)
NEVER = ("os.system", "os.exec", "os.posix_spawn", "pty.spawn", "socket.connect")


class HangError(BaseException):
    """No Exception: what is stopped must not take it for an error of its own."""


@dataclass
class Outcome:
    """What a call did. `faults` is empty if all of it was allowed."""

    value: Any = None
    error: str | None = None  # the project's own
    shown: str = ""
    faults: list[str] = field(default_factory=list)


class Watch:
    """Of calls that may change files below `root` and below the folders `spare`."""

    def __init__(self, root: Path, *spare: Path, seconds: float = SECONDS) -> None:
        self.root, self.seconds = root, seconds
        devices = ("/dev/null", "/dev/shm/sem.", "/dev/shm/torch_", "/proc/self/")
        self._allowed = (*(f"{folder}/" for folder in (root, *spare)), *devices)
        self._on = False
        self._outside: list[str] = []
        self.opened: set[Path] = set()  # files of `root` that the last call read
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        self._on = False  # what follows opens nothing, but its own lookups are none of the call's
        try:
            if event == "open" and isinstance(arguments[0], str | bytes):
                path = os.path.abspath(os.fsdecode(arguments[0]))
                mode, flags = arguments[1] or "", arguments[2]
                if any(letter in mode for letter in "wax+") or (not mode and flags & WRITING):
                    self._changes(event, path)
                elif path.startswith(f"{self.root}/"):
                    self.opened.add(Path(path))
            elif event in NEVER:
                self._outside.append(f"{event} {str(arguments)[:200]}")
            else:
                for place in dict(CHANGES).get(event, ()):
                    if isinstance(arguments[place], str | bytes | os.PathLike):
                        self._changes(event, os.path.abspath(os.fsdecode(arguments[place])))
        finally:
            self._on = True

    def _changes(self, event: str, path: str) -> None:
        if not f"{path}/".startswith(self._allowed):
            self._outside.append(f"{event} {path}")

    def call(self, function: Callable[[], Any], seconds: float | None = None) -> Outcome:
        """seconds: by the clock, if others than usual."""
        self._outside, self.opened, outcome = [], set(), Outcome()
        printed = StringIO()
        with self._limited(seconds or self.seconds):
            try:
                with redirect_stdout(printed), redirect_stderr(printed):
                    self._on = True
                    try:
                        outcome.value = function()
                    finally:
                        self._on = False
            except DMNetError as error:
                outcome.error = str(error)
            except HangError:
                outcome.faults.append(f"no end within {self.seconds:g} s")
            except SystemExit as error:
                outcome.faults.append(f"exit {error.code!r}")
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                last = traceback.extract_tb(error.__traceback__)[-1]
                lines = traceback.extract_tb(error.__traceback__)
                ours = [
                    line
                    for line in lines
                    if "/dmnet/" in line.filename or "/pipeline/" in line.filename
                ]
                at = (ours or [last])[-1]
                outcome.faults.append(
                    f"{type(error).__name__} {str(error)[:200]!r} in "
                    f"{Path(at.filename).name}:{at.lineno} {at.name}"
                )
        outcome.shown = printed.getvalue()
        outcome.faults += [f"outside: {change}" for change in dict.fromkeys(self._outside)]
        return outcome

    @contextmanager
    def _limited(self, seconds: float) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            raise HangError

        before = signal.signal(signal.SIGALRM, stop)
        # What does not return to Python cannot be stopped by an exception; then all of it ends.
        faulthandler.dump_traceback_later(4 * seconds, exit=True)
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
            signal.signal(signal.SIGALRM, before)


def wrong_text(text: str, shown: bool) -> str | None:
    """What is wrong with one line for people; shown: as a command printed it."""
    if "\n" in text:
        return f"not one line: {text[:300]!r}"
    if shown and len(text) > LONGEST + 20:
        return f"{len(text)} characters: {text[:100]!r}..."
    if OBJECT.search(text):
        return f"an object's address: {text[:300]!r}"
    if shown and CONTROL.search(text):
        return f"control characters: {text[:300]!r}"
    return None


def wrong_number(value: Any) -> bool:
    """Whether anything in it is no finite number."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return any(wrong_number(getattr(value, f.name)) for f in dataclasses.fields(value))
    if isinstance(value, dict):
        return any(wrong_number(inner) for inner in value.values())
    return isinstance(value, list | tuple) and any(wrong_number(inner) for inner in value)


def snapshot(*folders: Path) -> dict[Path, tuple[int, int, int]]:
    """Every file and folder: kind, size and time; of folders only that they are there."""
    found: dict[Path, tuple[int, int, int]] = {}
    ahead = [*folders]
    while ahead:
        with os.scandir(ahead.pop()) as entries:
            for entry in entries:
                state = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    ahead.append(Path(entry.path))
                    found[Path(entry.path)] = (state.st_mode, 0, 0)
                else:
                    found[Path(entry.path)] = (state.st_mode, state.st_size, state.st_mtime_ns)
    return found
