"""`reports/claims.md`: what the paper says, on its numbers and on ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from pipeline.claims import FAILS, HOLDS, NOT_COMPARABLE, PENDING


def render_claims(results: list[dict[str, Any]], preset: Mapping[str, Any]) -> str:
    """Markdown; `preset` is that of a report (name, title, judged, shows)."""
    header = [
        ["Preset", f"`{preset['name']}`: {preset['title']}"],
        ["What this shows", preset["shows"].strip()],
        ["On the paper's numbers", _count(results, "paper")],
        ["On ours", _count(results, "ours")],
    ]
    notes = [
        "A margin is the worst-case slack: how far the numbers could move against the sentence "
        "before it flips; below zero, how far they miss it. In points of mIoU or IoU; for "
        "Table 3 in M parameters or G FLOPs. A tie (0) is not a win."
    ]
    if not preset["judged"]:
        notes.append(
            f"Preset `{preset['name']}` is not the published scale: orderings are looked at, "
            "figures are not compared. An ordering that turns here does not refute the paper."
        )
    parts = [
        "# The paper's claims",
        tabulate(header, headers=["", ""], tablefmt="pipe", disable_numparse=True),
        "\n".join(f"- {note}" for note in notes),
        _claims_table(results),
        "## What the paper says against itself",
        _against_itself(results),
        *_remarks(results),
    ]
    return "\n\n".join(parts) + "\n"


def _count(results: list[dict[str, Any]], side: str) -> str:
    statuses = [result[side]["status"] for result in results]
    found = [
        f"{statuses.count(status)} {text}"
        for status, text in (
            (HOLDS, "hold"),
            (FAILS, "do not hold"),
            (PENDING, "pending"),
            (NOT_COMPARABLE, "not comparable"),
        )
        if status in statuses
    ]
    return f"{', '.join(found) or 'none'}; {len(results)} claims"


def _claims_table(results: list[dict[str, Any]]) -> str:
    rows = [
        [
            f"`{result['claim']}`: {_quote(result)}",
            result["where"],
            result["paper"]["status"],
            _margin(result["paper"]),
            result["ours"]["status"],
            _margin(result["ours"]),
            _names(result),
        ]
        for result in results
    ]
    headers = ["Claim", "Where", "Paper", "Margin", "Ours", "Margin", "Cells"]
    align = ["left", "left", "left", "right", "left", "right", "left"]
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _quote(result: dict[str, Any]) -> str:
    return f"“{result['sentence']}”".replace("|", "\\|")


def _margin(verdict: dict[str, Any]) -> str:
    """Two places as in the tables; a third where a tolerance for rounding leaves one."""
    margin = verdict["margin"]
    if margin is None:
        return ""
    places = 2 if round(margin, 2) == margin else 3
    return f"{margin:+.{places}f}" if margin else f"{margin:.2f}"


def _names(result: dict[str, Any]) -> str:
    """The cells by table, and how many quoted numbers stand against them."""
    tables: dict[str, list[str]] = {}
    for cell in result["cells"]:
        table, _, name = cell["cell"].partition("/")
        tables.setdefault(table, []).append(name)
    parts = [f"`{table}`: {', '.join(names)}" for table, names in tables.items()]
    quoted = sum(len(numbers) for numbers in result["quoted"].values())
    return "; ".join(parts) + (f"; {quoted} quoted" if quoted else "")


def _against_itself(results: list[dict[str, Any]]) -> str:
    lines = []
    for result in results:
        if result["paper"]["status"] != FAILS:
            continue
        numbers = [f"`{cell['cell']}` {cell['published']:.2f}" for cell in result["cells"]]
        note = f" {result['note']}" if result["note"] else ""
        lines.append(
            f"- `{result['claim']}` ({result['where']}): {_quote(result)}{note} "
            f"Margin {_margin(result['paper'])}; {', '.join(numbers)}."
        )
    return "\n".join(lines) or "Nothing: every claim holds on the paper's own numbers."


def _remarks(results: list[dict[str, Any]]) -> list[str]:
    """What qualifies a verdict on ours, claims with the same remark together."""
    claims: dict[str, list[str]] = {}
    for result in results:
        remark = result["ours"]["remark"]
        if remark is not None:
            text = f"{result['ours']['status']}, {remark}"
            claims.setdefault(text, []).append(f"`{result['claim']}`")
    if not claims:
        return []
    lines = [f"- {', '.join(names)}: {text.rstrip('.')}." for text, names in claims.items()]
    return ["## Remarks on ours", "\n".join(lines)]
