"""How figures, and texts that others wrote, are shown to people."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO, cast

# What moves a terminal's cursor, turns the direction of writing around or has no width: Unicode's
# categories Cc (but for tab and line feed), Cf, Cs, Zl and Zp, and the fillers among its letters.
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
LONGEST = 4000  # characters of an error; what it quotes from a file may be longer
_OBJECT = re.compile(r"\s*<[^<>]* at 0x[0-9a-fA-F]+>")


def clock(seconds: float) -> str:
    """h:mm:ss"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def printable(text: str) -> str:
    """One line that a terminal shows as it is, of text that a foreign file may have chosen."""
    return "".join(char if char.isprintable() else "?" for char in text)


def shortened(text: str, most: int) -> str:
    """`printable`, cut after `most` characters."""
    line = printable(text[: most + 1])
    return line if len(line) <= most else f"{line[:most]}..."


def reason(error: BaseException) -> str:
    """What a library's error says, for a line of ours: no second line, no address of an object."""
    said = getattr(error, "strerror", None) or str(error)  # an OSError's without number and path
    lines = _OBJECT.sub("", said).strip().splitlines()
    return printable(lines[0][:300]) if lines else type(error).__name__


def visible(text: str) -> str:
    """Control characters as their escapes, so that a terminal prints them and obeys none."""
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def error_line(error: Exception | str, first: str = "error: ") -> str:
    """What a command ends with: one line, whatever the names of files in it are."""
    text = str(error)
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return first + cut.replace("\n", "\\n")


@contextmanager
def all_visible() -> Iterator[None]:
    """Whatever is printed meanwhile is, wherever it came from: a terminal obeys none of it."""
    out, error = (cast(TextIO, _Visible(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(error):
        yield


class _Visible:
    """A stream for people, in front of one that may be a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(visible(text))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
