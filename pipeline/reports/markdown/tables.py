"""A table in Markdown's pipes."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate


def pipe_table(
    rows: Sequence[Sequence[str]],
    headers: Sequence[str] = ("", ""),
    align: Sequence[str] | None = None,
) -> str:
    """align: left or right, by column; without headers there are two columns, names and texts."""
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)
