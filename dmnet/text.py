"""How figures are written for people."""

from __future__ import annotations

import re

_OBJECT = re.compile(r"\s*<[^<>]* at 0x[0-9a-fA-F]+>")


def clock(seconds: float) -> str:
    """h:mm:ss"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def printable(text: str) -> str:
    """One line that a terminal shows as it is, of text that a foreign file may have chosen."""
    return "".join(char if char.isprintable() else "?" for char in text)


def reason(error: BaseException) -> str:
    """What a library's error says, for a line of ours: no second line, no address of an object."""
    lines = _OBJECT.sub("", str(error)).strip().splitlines()
    return printable(lines[0][:300]) if lines else type(error).__name__
