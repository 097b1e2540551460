"""`reports/claims.md`: what the paper claims, on its numbers and on ours."""

from __future__ import annotations

from pipeline.reports.claims.judged import FAILS, HOLDS, INCONCLUSIVE, NOT_COMPARABLE, PENDING
from pipeline.reports.markdown.tables import pipe_table
from pipeline.reports.markdown.verdicts import RULE
from pipeline.reports.model.base import Preset
from pipeline.reports.model.claims import Claims, JudgedClaim, Judgement
from pipeline.reports.numbers import interval_text, margin_text

WORDS = {
    HOLDS: "hold",
    FAILS: "do not hold",
    INCONCLUSIVE: "inconclusive",
    PENDING: "pending",
    NOT_COMPARABLE: "not comparable",
}


def render_claims(claims: Claims, preset: Preset) -> str:
    """Markdown; `preset` is that of the reports."""
    stated = [claim for claim in claims.root if not claim.bold]
    bold = [claim for claim in claims.root if claim.bold]
    header = [
        ["Preset", f"`{preset.name}`: {preset.title}"],
        ["What this shows", preset.shows.strip()],
        ["On the paper's numbers", _count([claim.paper for claim in stated])],
        ["On ours", _count([claim.ours for claim in stated])],
    ]
    if bold:
        header += [
            ["Numbers in bold, on the paper's numbers", _count([claim.paper for claim in bold])],
            ["Numbers in bold, on ours", _count([claim.ours for claim in bold])],
        ]
    parts = [
        "# The paper's claims",
        pipe_table(header),
        "\n".join(f"- {note}" for note in _notes(preset)),
        _claims_table(stated),
        "## What the paper says against itself",
        _failing(stated, False) or "Nothing: every claim holds on the paper's own numbers.",
    ]
    sections = {
        "## Readings of ours that do not hold on its numbers": _failing(claims.root, True),
        "## Numbers in bold": _bold_table(bold),
        "## Remarks on ours": _remarks(claims.root),
    }
    parts += [f"{title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def _notes(preset: Preset) -> list[str]:
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
    if not preset.judged:
        notes.append(
            f"Preset `{preset.name}` is not the published scale: orderings are looked at, "
            "figures are not compared, and no prior spread is known, so that one seed decides "
            "nothing that is trained. An ordering that turns here does not refute the paper."
        )
    return notes


def _count(side: list[Judgement]) -> str:
    """Such as "38 hold, 5 do not hold; 43 claims"."""
    found = [
        f"{count} {text}"
        for status, text in WORDS.items()
        if (count := sum(judgement.status == status for judgement in side))
    ]
    return f"{', '.join(found) or 'none'}; {len(side)} claims"


def _claims_table(claims: list[JudgedClaim]) -> str:
    rows = []
    for claim in claims:
        text = f"`{claim.claim}`: {_escaped(_with_reading(claim))}"
        rows.append([text, claim.where, *_sides(claim), _names(claim)])
    headers = ["Claim", "Where", *SIDES, "Cells"]
    return pipe_table(rows, headers, ["left", "left", *SIDES_ALIGN, "left"])


def _bold_table(claims: list[JudgedClaim]) -> str:
    if not claims:
        return ""
    rows = [[f"`{claim.claim}`", _escaped(claim.says), *_sides(claim)] for claim in claims]
    headers = ["Claim", "What bold is read to say", *SIDES]
    table = pipe_table(rows, headers, ["left", "left", *SIDES_ALIGN])
    return f"All of them are readings: {claims[0].reading}.\n\n{table}"


SIDES = ("Paper", "Margin", "Ours", "Margin", "Interval")
SIDES_ALIGN = ("left", "right", "left", "right", "right")


def _sides(claim: JudgedClaim) -> list[str]:
    paper, ours = claim.paper, claim.ours
    return [
        paper.status,
        margin_text(paper.margin),
        ours.status,
        margin_text(ours.margin),
        interval_text(ours.interval),
    ]


def _with_reading(claim: JudgedClaim) -> str:
    return f"{claim.says}." + (f" Reading: {claim.reading}." if claim.reading else "")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _names(claim: JudgedClaim) -> str:
    """The cells by table, and how many quoted numbers stand against them."""
    tables: dict[str, list[str]] = {}
    for cell in claim.cells:
        table, _, name = cell.cell.partition("/")
        tables.setdefault(table, []).append(name)
    parts = [f"`{table}`: {', '.join(names)}" for table, names in tables.items()]
    quoted = sum(len(numbers) for numbers in claim.quoted.values())
    return "; ".join(parts) + (f"; {quoted} quoted" if quoted else "")


def _failing(claims: list[JudgedClaim], readings: bool) -> str:
    lines = []
    for claim in claims:
        if claim.paper.status != FAILS or bool(claim.reading) != readings:
            continue
        numbers = [f"`{cell.cell}` {cell.published:.2f}" for cell in claim.cells]
        quoted = [number for found in claim.quoted.values() for number in found]
        best = [f"best of the quoted {max(quoted):.2f}"] if quoted else []
        note = f" {claim.note}" if claim.note else ""
        lines.append(
            f"- `{claim.claim}` ({claim.where}): {_with_reading(claim)}{note} "
            f"Margin {margin_text(claim.paper.margin)}; {', '.join([*numbers, *best])}."
        )
    return "\n".join(lines)


def _remarks(claims: list[JudgedClaim]) -> str:
    """What qualifies a judgement of ours, claims with the same remark together."""
    named: dict[str, list[str]] = {}
    for claim in claims:
        if claim.ours.remark is not None:
            text = f"{claim.ours.status}, {claim.ours.remark}"
            named.setdefault(text, []).append(f"`{claim.claim}`")
    lines = [f"- {', '.join(names)}: {text.rstrip('.')}." for text, names in named.items()]
    return "\n".join(lines)
