"""`reports/claims.md`: what the paper claims, on its numbers and on ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from pipeline.reports.claims.judged import FAILS, HOLDS, INCONCLUSIVE, NOT_COMPARABLE, PENDING

RULE = "docs/verdicts.md"
WORDS = {
    HOLDS: "hold",
    FAILS: "do not hold",
    INCONCLUSIVE: "inconclusive",
    PENDING: "pending",
    NOT_COMPARABLE: "not comparable",
}


def render_claims(results: list[dict[str, Any]], preset: Mapping[str, Any]) -> str:
    """Markdown; `preset` is that of a report (name, title, judged, shows)."""
    stated = [result for result in results if not result["bold"]]
    bold = [result for result in results if result["bold"]]
    header = [
        ["Preset", f"`{preset['name']}`: {preset['title']}"],
        ["What this shows", preset["shows"].strip()],
        ["On the paper's numbers", count_claims(stated, "paper")],
        ["On ours", count_claims(stated, "ours")],
    ]
    if bold:
        header += [
            ["Numbers in bold, on the paper's numbers", count_claims(bold, "paper")],
            ["Numbers in bold, on ours", count_claims(bold, "ours")],
        ]
    parts = [
        "# The paper's claims",
        tabulate(header, headers=["", ""], tablefmt="pipe", disable_numparse=True),
        "\n".join(f"- {note}" for note in _notes(preset)),
        _claims_table(stated),
        "## What the paper says against itself",
        _failing(stated, False) or "Nothing: every claim holds on the paper's own numbers.",
        *_section("## Readings of ours that do not hold on its numbers", _failing(results, True)),
        *_section("## Numbers in bold", _bold_table(bold)),
        *_section("## Remarks on ours", _remarks(results)),
    ]
    return "\n\n".join(parts) + "\n"


def _notes(preset: Mapping[str, Any]) -> list[str]:
    notes = [
        "Claims are in our words, with their place in the paper; “reading” says what of a claim is "
        "our interpretation. A reading that the paper's numbers miss is no contradiction of the "
        "paper.",
        "A margin is the worst-case slack: how far the numbers could move against the claim before "
        "it flips; below zero, how far they miss it. In points of mIoU or IoU; for Table 3 in M "
        "parameters or G FLOPs. A tie (0) is not a win.",
        "The paper's numbers are taken as printed. Ours only estimate the true means of their "
        "recipes, so a margin of ours has an interval of two one-sided bounds, from the seeds' "
        f"spread and a prior: wholly above zero `{HOLDS}`, wholly below `{FAILS}`, else "
        f"`{INCONCLUSIVE}`. The rule, and how often it is wrong: [{RULE}](../{RULE}).",
    ]
    if not preset["judged"]:
        notes.append(
            f"Preset `{preset['name']}` is not the published scale: orderings are looked at, "
            "figures are not compared, and no prior spread is known, so that one seed decides "
            "nothing that is trained. An ordering that turns here does not refute the paper."
        )
    return notes


def _section(title: str, text: str) -> list[str]:
    return [title, text] if text else []


def count_claims(results: list[dict[str, Any]], side: str) -> str:
    """Such as "38 hold, 5 do not hold; 43 claims"."""
    statuses = [result[side]["status"] for result in results]
    found = [
        f"{statuses.count(status)} {text}" for status, text in WORDS.items() if status in statuses
    ]
    return f"{', '.join(found) or 'none'}; {len(results)} claims"


def _claims_table(results: list[dict[str, Any]]) -> str:
    rows = [
        [
            f"`{result['claim']}`: {_escaped(_with_reading(result))}",
            result["where"],
            *_sides(result),
            _names(result),
        ]
        for result in results
    ]
    headers = ["Claim", "Where", *SIDES, "Cells"]
    align = ["left", "left", *SIDES_ALIGN, "left"]
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _bold_table(results: list[dict[str, Any]]) -> str:
    if not results:
        return ""
    rows = [
        [f"`{result['claim']}`", _escaped(result["says"]), *_sides(result)] for result in results
    ]
    table = tabulate(
        rows,
        ["Claim", "What bold is read to say", *SIDES],
        tablefmt="pipe",
        colalign=["left", "left", *SIDES_ALIGN],
        disable_numparse=True,
    )
    return f"All of them are readings: {results[0]['reading']}.\n\n{table}"


SIDES = ("Paper", "Margin", "Ours", "Margin", "Interval")
SIDES_ALIGN = ("left", "right", "left", "right", "right")


def _sides(result: dict[str, Any]) -> list[str]:
    paper, ours = result["paper"], result["ours"]
    return [
        paper["status"],
        margin_text(paper["margin"]),
        ours["status"],
        margin_text(ours["margin"]),
        interval_text(ours),
    ]


def _with_reading(result: dict[str, Any]) -> str:
    reading = result["reading"]
    return f"{result['says']}. Reading: {reading}." if reading else f"{result['says']}."


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def margin_text(margin: float | None) -> str:
    """Two places as in the tables; a third where a tolerance for rounding leaves one."""
    if margin is None:
        return ""
    places = 2 if round(margin, 2) == margin else 3
    return f"{margin:+.{places}f}" if margin else f"{margin:.2f}"


def interval_text(judgement: Mapping[str, Any]) -> str:
    """Such as "-0.12 to +1.30"; empty where the numbers are exact or nothing is known."""
    if judgement["interval"] is None:
        return ""
    low, high = judgement["interval"]
    if low == high:
        return "unknown" if low is None else "exact"
    ends = ["?" if end is None else f"{end:+.2f}" for end in (low, high)]
    return " to ".join(ends)


def _names(result: dict[str, Any]) -> str:
    """The cells by table, and how many quoted numbers stand against them."""
    tables: dict[str, list[str]] = {}
    for cell in result["cells"]:
        table, _, name = cell["cell"].partition("/")
        tables.setdefault(table, []).append(name)
    parts = [f"`{table}`: {', '.join(names)}" for table, names in tables.items()]
    quoted = sum(len(numbers) for numbers in result["quoted"].values())
    return "; ".join(parts) + (f"; {quoted} quoted" if quoted else "")


def _failing(results: list[dict[str, Any]], readings: bool) -> str:
    lines = []
    for result in results:
        if result["paper"]["status"] != FAILS or bool(result["reading"]) != readings:
            continue
        numbers = [f"`{cell['cell']}` {cell['published']:.2f}" for cell in result["cells"]]
        quoted = [number for found in result["quoted"].values() for number in found]
        best = [f"best of the quoted {max(quoted):.2f}"] if quoted else []
        note = f" {result['note']}" if result["note"] else ""
        lines.append(
            f"- `{result['claim']}` ({result['where']}): {_with_reading(result)}{note} "
            f"Margin {margin_text(result['paper']['margin'])}; {', '.join([*numbers, *best])}."
        )
    return "\n".join(lines)


def _remarks(results: list[dict[str, Any]]) -> str:
    """What qualifies a judgement of ours, claims with the same remark together."""
    claims: dict[str, list[str]] = {}
    for result in results:
        remark = result["ours"]["remark"]
        if remark is not None:
            text = f"{result['ours']['status']}, {remark}"
            claims.setdefault(text, []).append(f"`{result['claim']}`")
    lines = [f"- {', '.join(names)}: {text.rstrip('.')}." for text, names in claims.items()]
    return "\n".join(lines)
