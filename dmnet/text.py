"""How figures are written for people."""

from __future__ import annotations

import re

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
