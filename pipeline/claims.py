"""The paper's sentences as predicates over table cells, on its own numbers and on ours.

`params/claims.yaml` holds the sentences, `pipeline/predicates.py` the kinds of predicates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from dmnet.config import Section, parse
from pipeline.errors import ResultError, SpecError
from pipeline.predicates import Equal, Predicate, Values
from pipeline.report import cells_of
from pipeline.specs import Identifier
from pipeline.tables import TableSpec, row_label
from pipeline.yaml_files import load_yaml

HOLDS, FAILS = "holds", "does not hold"
PENDING, NOT_COMPARABLE = "pending", "not comparable"


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
        (
            [(run["run"], run["evaluation"]) for run in cell["runs"]],
            cell["profile"] or cell.get("speed"),
            cell["metric"],
        )
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
