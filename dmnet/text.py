"""How figures are written for people."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """h:mm:ss"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def printable(text: str) -> str:
    """One line that a terminal shows as it is, of text that a foreign file may have chosen."""
    return "".join(char if char.isprintable() else "?" for char in text)
