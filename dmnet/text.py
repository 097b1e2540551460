"""How figures are written for people."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """h:mm:ss"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
