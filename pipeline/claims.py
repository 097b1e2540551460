"""The paper's sentences as predicates over table cells, on its own numbers and on ours.

`params/claims.yaml` holds the sentences. A predicate names numbers in three ways:
`table2/context-aware` (a cell), `table9/SAC [50] ResNet101:mIoU%` (a quoted number, by the texts
of its row and its column) and `table7/aero:*` (every quoted number of a row). Its margin is the
worst-case slack: how much the numbers could move against the sentence before it flips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from tabulate import tabulate

from dmnet.config import Section, parse
from pipeline.errors import ResultError, SpecError
from pipeline.report import cells_of
from pipeline.specs import Identifier, TableSpec, row_label
from pipeline.yaml_files import load_yaml

HOLDS, FAILS = "holds", "does not hold"
PENDING, NOT_COMPARABLE = "pending", "not comparable"

Number = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+/[^*]+$")]  # exactly one number
Numbers = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+/([^*]+|[^*]+:\*)$")]  # or a quoted row
Values = Mapping[str, tuple[float, ...]]  # a name as written -> its number or numbers
REFERENCES = ("cell", "cells", "among", "left", "right")  # the keys whose values are such names


# ------------------------------------------------------------------------------- the predicates


class _Predicate(Section):
    strict: ClassVar[bool] = True  # a margin of exactly 0 is a tie, and does not hold
    absolute: ClassVar[bool] = False  # about a figure: only comparable at the published scale

    def margin(self, values: Values, on_ours: bool) -> float:
        raise NotImplementedError

    def holds(self, margin: float) -> bool:
        return margin > 0 if self.strict else margin >= 0

    def references(self) -> list[tuple[str, str]]:
        """(key, name) of every number it names."""
        found = []
        for key in REFERENCES:
            value = getattr(self, key, ())
            found += [(key, name) for name in ((value,) if isinstance(value, str) else value)]
        return found


class Greater(_Predicate):
    """Every number on the left is greater than every one on the right."""

    kind: Literal["greater"]
    left: tuple[Numbers, ...] = Field(min_length=1)
    right: tuple[Numbers, ...] = Field(min_length=1)

    def margin(self, values: Values, on_ours: bool) -> float:
        return min(n for name in self.left for n in values[name]) - max(
            n for name in self.right for n in values[name]
        )


class _Paired(_Predicate):
    left: tuple[Numbers, ...] = Field(min_length=1)
    right: tuple[Numbers, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _equally_long(self) -> _Paired:
        if len(self.left) != len(self.right):
            raise ValueError(
                f"`left` has {len(self.left)} entries and `right` {len(self.right)}; "
                "they are compared in pairs"
            )
        return self

    def slacks(self, values: Values) -> list[float]:
        pairs = zip(self.left, self.right, strict=True)
        return [min(values[left]) - max(values[right]) for left, right in pairs]


class Pairwise(_Paired):
    """Each number on the left is greater than its partner on the right."""

    kind: Literal["pairwise"]

    def margin(self, values: Values, on_ours: bool) -> float:
        return min(self.slacks(values))


class Most(_Paired):
    """The same in more than half of the pairs; the margin is that of the last pair needed."""

    kind: Literal["most"]

    def margin(self, values: Values, on_ours: bool) -> float:
        slacks = sorted(self.slacks(values), reverse=True)
        return slacks[len(slacks) // 2]


class Best(_Predicate):
    """The cell is greater than every other one among the cells."""

    kind: Literal["best"]
    cell: Number
    among: tuple[Number, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _one_of_them(self) -> Best:
        if self.cell not in self.among:
            raise ValueError(f"`cell` {self.cell!r} is not `among` the cells it is compared with")
        return self

    def margin(self, values: Values, on_ours: bool) -> float:
        others = [values[name][0] for name in self.among if name != self.cell]
        return values[self.cell][0] - max(others)


class Order(_Predicate):
    """Each cell is greater than the next one."""

    kind: Literal["order"]
    cells: tuple[Number, ...] = Field(min_length=2)

    def margin(self, values: Values, on_ours: bool) -> float:
        return -max(_steps(self.cells, values))


class RisesThenDeclines(_Predicate):
    """Every step goes up to a cell that is neither first nor last, and down after it."""

    kind: Literal["rises_then_declines"]
    cells: tuple[Number, ...] = Field(min_length=3)

    def margin(self, values: Values, on_ours: bool) -> float:
        steps = _steps(self.cells, values)
        return max(
            min([*steps[:peak], *(-step for step in steps[peak:])]) for peak in range(1, len(steps))
        )


class Gap(_Predicate):
    """The first cell leads the second by more, on the left than on the right."""

    kind: Literal["gap"]
    left: tuple[Number, Number]
    right: tuple[Number, Number]

    def margin(self, values: Values, on_ours: bool) -> float:
        left, right = ([values[name][0] for name in side] for side in (self.left, self.right))
        return (left[0] - left[1]) - (right[0] - right[1])


class Equal(_Predicate):
    """The cells lie no further apart than `within`."""

    strict: ClassVar[bool] = False
    kind: Literal["equal"]
    cells: tuple[Number, ...] = Field(min_length=2)
    within: float = Field(ge=0)

    def margin(self, values: Values, on_ours: bool) -> float:
        found = [values[name][0] for name in self.cells]
        return self.within - (max(found) - min(found))


class _Figure(_Predicate):
    """A stated figure: `within` for the paper's numbers, `within_ours` (or `within`) for ours."""

    strict: ClassVar[bool] = False
    absolute: ClassVar[bool] = True
    about: float
    within: float = Field(ge=0)
    within_ours: float | None = Field(None, ge=0)

    def allowed(self, on_ours: bool) -> float:
        return self.within_ours if on_ours and self.within_ours is not None else self.within


class Difference(_Figure):
    """Each number on the left leads every one on the right by about a figure."""

    kind: Literal["difference"]
    left: tuple[Number, ...] = Field(min_length=1)
    right: tuple[Number, ...] = Field(min_length=1)

    def margin(self, values: Values, on_ours: bool) -> float:
        off = [
            abs(values[left][0] - values[right][0] - self.about)
            for left in self.left
            for right in self.right
        ]
        return self.allowed(on_ours) - max(off)


class Value(_Figure):
    """The cell is about a figure."""

    kind: Literal["value"]
    cell: Number

    def margin(self, values: Values, on_ours: bool) -> float:
        return self.allowed(on_ours) - abs(values[self.cell][0] - self.about)


Predicate = Annotated[
    Greater | Pairwise | Most | Best | Order | RisesThenDeclines | Gap | Equal | Difference | Value,
    Field(discriminator="kind"),
]


def _steps(cells: tuple[str, ...], values: Values) -> list[float]:
    numbers = [values[name][0] for name in cells]
    return [after - before for before, after in zip(numbers, numbers[1:], strict=False)]


# ----------------------------------------------------------------------------- the file of claims


class ClaimSpec(Section):
    """One entry of `params/claims.yaml`."""

    id: Identifier
    sentence: str  # in the paper's words
    where: str
    predicate: Predicate
    note: str | None = None  # how it is read, or what its own numbers say instead
    only_on_paper: str | None = None  # why ours can never be compared, whatever the preset


class ClaimsFile(Section):
    claims: tuple[dict[str, Any], ...] = Field(min_length=1)


@dataclass(frozen=True)
class Claim:
    """A sentence whose every number was found in the tables."""

    spec: ClaimSpec
    published: Values

    @property
    def cells(self) -> list[str]:
        """The cells of ours that it rests on, each once, in the predicate's order."""
        return [name for name in self.published if ":" not in name]

    @property
    def absolute(self) -> bool:
        """Whether it compares with a figure of the paper, stated or quoted."""
        return self.spec.predicate.absolute or len(self.cells) < len(self.published)


def load_claims(folder: Path, tables: Mapping[str, TableSpec]) -> tuple[Claim, ...]:
    """The claims of `folder/claims.yaml`; `tables` are all of its tables, by name.

    Raises SpecError or ConfigError naming the file, the claim and the key.
    """
    path = folder / "claims.yaml"
    claims: dict[str, Claim] = {}
    for number, entry in enumerate(parse(ClaimsFile, load_yaml(path), str(path)).claims, 1):
        where = f"{path}: claim {entry.get('id', number)!r}"
        spec = parse(ClaimSpec, entry, where)
        if spec.id in claims:
            raise SpecError(f"{where}: the `id` stands twice; rename one")
        published = {
            name: _published(name, tables, f"{where}: `predicate.{key}`")
            for key, name in spec.predicate.references()
        }
        claims[spec.id] = Claim(spec, published)
    return tuple(claims.values())


def _published(name: str, tables: Mapping[str, TableSpec], where: str) -> tuple[float, ...]:
    table, _, place = name.partition("/")
    if table not in tables:
        raise SpecError(
            f"{where} names {name!r}, of the unknown table {table!r}; "
            f"expected one of {', '.join(tables)}"
        )
    if ":" in place:
        return _quoted(name, tables[table], where)
    cells = {cell.cell: cell.published for _, _, cell in tables[table].cells()}
    if place not in cells:
        raise SpecError(
            f"{where} names the unknown cell {name!r}; expected one of {', '.join(cells)}"
        )
    value = cells[place]
    if value is None:
        raise SpecError(f"{where} names {name!r}, which has no published number; name another")
    return (value,)


def _quoted(name: str, table: TableSpec, where: str) -> tuple[float, ...]:
    """The quoted number of `table/row:column`, or all those of `table/row:*`."""
    label, _, column = name.partition("/")[2].rpartition(":")
    rows = [row for row in table.rows if row_label(row) == label]
    if len(rows) != 1:
        labels = ", ".join(repr(row_label(row)) for row in table.rows)
        problem = "several rows" if rows else "an unknown row"
        raise SpecError(f"{where} names {problem} with {name!r}; expected one of {labels}")
    numbers = {key: entry for key, entry in rows[0].items() if isinstance(entry, float)}
    if column != "*":
        numbers = {key: entry for key, entry in numbers.items() if key == column}
    if not numbers:
        raise SpecError(
            f"{where} names {name!r}, where no quoted number stands; "
            f"expected one of the columns {', '.join(table.columns)} that quotes one, or *"
        )
    return tuple(numbers.values())


# ------------------------------------------------------------------------------------ the verdict


def evaluate_claims(
    claims: tuple[Claim, ...], reports: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """JSON-ready, one entry per claim. `reports` may lack tables; their cells are then pending.

    Raises ResultError when the reports are of different presets or numbers of seeds.
    """
    scales = {(report["preset"]["name"], report["seeds"]) for report in reports.values()}
    if len(scales) > 1:
        found = ", ".join(f"{name} with {seeds} seed(s)" for name, seeds in sorted(scales))
        raise ResultError(f"the reports of the claims differ in scale ({found}); make them anew")
    judged = all(report["preset"]["judged"] for report in reports.values())
    cells = {cell["cell"]: cell for report in reports.values() for cell in cells_of(report)}
    return [_evaluate(claim, cells, judged) for claim in claims]


def _evaluate(claim: Claim, cells: dict[str, Any], judged: bool) -> dict[str, Any]:
    spec = claim.spec
    return {
        "claim": spec.id,
        "sentence": spec.sentence,
        "where": spec.where,
        "predicate": spec.predicate.model_dump(mode="json"),
        "note": spec.note,
        "paper": _verdict(claim, claim.published, on_ours=False),
        "ours": _on_ours(claim, cells, judged),
        "cells": [
            {
                "cell": name,
                "published": numbers[0],
                "ours": cells[name]["ours"] if name in cells else None,
                "source": cells[name]["source"] if name in cells else PENDING,
            }
            for name, numbers in claim.published.items()
            if ":" not in name
        ],
        "quoted": {name: list(numbers) for name, numbers in claim.published.items() if ":" in name},
    }


def _verdict(claim: Claim, values: Values, on_ours: bool) -> dict[str, Any]:
    predicate = claim.spec.predicate
    margin = round(predicate.margin(values, on_ours), 3) + 0.0  # no -0.0
    return {"status": HOLDS if predicate.holds(margin) else FAILS, "margin": margin, "remark": None}


def _on_ours(claim: Claim, cells: dict[str, Any], judged: bool) -> dict[str, Any]:
    if claim.spec.only_on_paper is not None:
        return _without_margin(NOT_COMPARABLE, claim.spec.only_on_paper)
    if claim.absolute and not judged:
        return _without_margin(NOT_COMPARABLE, "about a figure at the published scale")
    missing = [name for name in claim.cells if name not in cells or cells[name]["ours"] is None]
    if missing:
        return _without_margin(PENDING, _why_pending(missing, cells))
    measured = [cells[name] for name in claim.cells]
    shared = _same_measurement(measured)
    is_equality = isinstance(claim.spec.predicate, Equal)
    if shared and not is_equality:
        return _without_margin(NOT_COMPARABLE, f"one run here: {' and '.join(shared)}")
    ours = {name: (float(cells[name]["ours"]),) for name in claim.cells}
    verdict = _verdict(claim, {**claim.published, **ours}, on_ours=True)
    spread = max((cell["spread"] or 0.0 for cell in measured), default=0.0)
    if shared:
        verdict["remark"] = f"by construction, one run here: {' and '.join(shared)}"
    elif alike := _same_weights(measured):
        verdict["remark"] = (
            f"the runs of {' and '.join(alike)} ended with the same weights: what tells them "
            "apart has no effect at this scale"
        )
    elif abs(verdict["margin"]) < spread:
        verdict["remark"] = f"within the seeds' spread of {spread:.2f}"
    return verdict


def _without_margin(status: str, remark: str) -> dict[str, Any]:
    return {"status": status, "margin": None, "remark": remark}


def _why_pending(missing: list[str], cells: dict[str, Any]) -> str:
    absent = [name for name in missing if name in cells and cells[name]["source"] == "absent"]
    if absent:
        return f"a class does not occur in the data: {_shortened(absent)}"
    return f"no number yet: {_shortened(missing)}"


def _shortened(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _same_measurement(cells: list[dict[str, Any]]) -> list[str]:
    """The first cells that are one and the same number of one run, under several names."""
    keys = [
        ([(run["run"], run["evaluation"]) for run in cell["runs"]], cell["profile"], cell["metric"])
        for cell in cells
    ]
    return _first_alike([str(key) if any(key[:2]) else "" for key in keys], cells)


def _same_weights(cells: list[dict[str, Any]]) -> list[str]:
    """The first cells whose different runs ended with the same weights, measured alike."""
    keys = [
        (
            [(run["weights_sha256"], run["evaluation"]) for run in cell["runs"]],
            cell["metric"],
        )
        for cell in cells
    ]
    return _first_alike([str(key) if key[0] else "" for key in keys], cells)


def _first_alike(keys: list[str], cells: list[dict[str, Any]]) -> list[str]:
    """The cells that share the first key that several have; an empty key is shared by none."""
    for key in keys:
        if key and keys.count(key) > 1:
            return [cell["cell"] for found, cell in zip(keys, cells, strict=True) if found == key]
    return []


# ------------------------------------------------------------------------------------- the report


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
