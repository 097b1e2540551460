"""What the paper claims, as predicates over table cells: the file of claims and its numbers.

`params/claims.yaml` holds the claims, `predicates.py` the kinds of predicates, `bold.py` adds one
for every number in bold, `judged.py` judges them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from dmnet.config import Section, parse
from pipeline.errors import SpecError
from pipeline.reports.claims.bold import BoldMark, bold_marks
from pipeline.reports.claims.conditions import Values
from pipeline.reports.claims.predicates import Greater, Predicate, is_quoted
from pipeline.spec.params import Identifier
from pipeline.spec.tables import TableSpec, row_label
from pipeline.spec.yaml_files import load_yaml


class Place(Section):
    """Where the source says it: the number of a sentence in its paragraph, or tables alone."""

    section: str | None = None  # "4.2", or abstract
    heading: str | None = None  # of the paragraph, where it has one
    paragraph: int = Field(1, ge=1)  # under that heading, else in the section
    sentence: int | None = Field(None, ge=1)
    tables: tuple[Identifier, ...] = ()
    part: str | None = None  # of what stands there, such as one of two columns

    @model_validator(mode="after")
    def _complete(self) -> Place:
        if (self.section is None) != (self.sentence is None):
            raise ValueError("`section` and `sentence` go together; give both, or `tables` alone")
        if self.section is None and not self.tables:
            raise ValueError("no place is named; give `section` and `sentence`, or `tables`")
        return self

    def __str__(self) -> str:
        """Such as "section 4.2, Different backbones, sentence 5; Table 5 (ResNet50)"."""
        parts = []
        if self.section is not None:
            place = [f"section {self.section}" if self.section[0].isdigit() else self.section]
            place += [self.heading] if self.heading else []
            if self.paragraph > 1 or (self.heading is None and self.section[0].isdigit()):
                place.append(f"paragraph {self.paragraph}")
            parts.append(", ".join([*place, f"sentence {self.sentence}"]))
        if self.tables:
            *first, last = [table.removeprefix("table") for table in self.tables]
            parts.append(f"Tables {', '.join(first)} and {last}" if first else f"Table {last}")
        return "; ".join(parts) + (f" ({self.part})" if self.part else "")


class ClaimSpec(Section):
    """One entry of `params/claims.yaml`."""

    id: Identifier
    says: str  # in our words
    where: Place
    predicate: Predicate | None = None
    # Our interpretation: where the source's numbers miss it, we may have misread the source.
    reading: str | None = None
    note: str | None = None  # how it is checked, or what its own numbers say instead
    untested: str | None = None  # why there is no predicate
    only_on_paper: str | None = None  # why ours can never be compared, whatever the preset

    @model_validator(mode="after")
    def _tested_or_not(self) -> ClaimSpec:
        if (self.predicate is None) != (self.untested is not None):
            raise ValueError("a claim has a `predicate`, or says under `untested` why it has none")
        return self


class ClaimsFile(Section):
    claims: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Claim:
    """A claim whose every number was found in the tables."""

    spec: ClaimSpec
    published: Values
    mark: BoldMark | None = None  # it was made of a number in bold

    @property
    def cells(self) -> list[str]:
        """The cells of ours that it rests on, each once, in the predicate's order."""
        return [name for name in self.published if not is_quoted(name)]

    @property
    def absolute(self) -> bool:
        """Whether it compares with a figure of the paper, stated or quoted."""
        stated = self.spec.predicate is not None and self.spec.predicate.absolute
        return stated or len(self.cells) < len(self.published)


def load_claims(folder: Path, tables: Mapping[str, TableSpec]) -> tuple[Claim, ...]:
    """The claims of `folder/claims.yaml`, then those of the tables' numbers in bold.

    tables: all of them, by name. Raises SpecError or ConfigError naming file, claim and key.
    """
    path = folder / "claims.yaml"
    claims: dict[str, Claim] = {}
    for number, entry in enumerate(parse(ClaimsFile, load_yaml(path), str(path)).claims, 1):
        where = f"{path}: claim {entry.get('id', number)!r}"
        spec = parse(ClaimSpec, entry, where)
        if spec.id in claims:
            raise SpecError(f"{where}: the `id` stands twice; rename one")
        for table in spec.where.tables:
            if table not in tables:
                raise SpecError(
                    f"{where}: `where.tables` names the unknown table {table!r}; "
                    f"expected some of {', '.join(tables)}"
                )
        claims[spec.id] = Claim(spec, _numbers(spec, tables, where))
    for mark in bold_marks(tables):
        claim = _bold_claim(mark, tables)
        if claim.spec.id in claims:
            raise SpecError(f"{path}: the `id` {claim.spec.id!r} is a bold number's; rename it")
        claims[claim.spec.id] = claim
    return tuple(claims.values())


def _bold_claim(mark: BoldMark, tables: Mapping[str, TableSpec]) -> Claim:
    spec = ClaimSpec(
        id=mark.id,
        says=f"{mark.printed} in bold is the best of {mark.among}",
        where=Place(tables=(mark.table,), part=f"bold, {mark.row}, {mark.column}"),
        predicate=Greater(kind="greater", left=(mark.name,), right=mark.others),
        reading="bold is read as the best; the paper does not say what it means",
        only_on_paper=tables[mark.table].defaults.not_comparable,
    )
    return Claim(spec, _numbers(spec, tables, f"bold number {mark.id!r}"), mark)


def _numbers(spec: ClaimSpec, tables: Mapping[str, TableSpec], where: str) -> Values:
    if spec.predicate is None:
        return {}
    return {
        name: _published(name, tables, f"{where}: `predicate.{key}`")
        for key, name in spec.predicate.references()
    }


def _published(name: str, tables: Mapping[str, TableSpec], where: str) -> tuple[float, ...]:
    table, _, place = name.partition("/")
    if table not in tables:
        raise SpecError(
            f"{where} names {name!r}, of the unknown table {table!r}; "
            f"expected one of {', '.join(tables)}"
        )
    if is_quoted(name):
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
    """The quoted number of `table/row:column`; all of `table/row:*` or of `table/*:column`."""
    label, _, column = name.partition("/")[2].rpartition(":")
    rows = [row for row in table.rows if label in ("*", row_label(row))]
    if label != "*" and len(rows) != 1:
        labels = ", ".join(repr(row_label(row)) for row in table.rows)
        problem = "several rows" if rows else "an unknown row"
        raise SpecError(f"{where} names {problem} with {name!r}; expected one of {labels}")
    numbers = [
        entry
        for row in rows
        for key, entry in row.items()
        if isinstance(entry, float) and column in ("*", key)
    ]
    if not numbers:
        raise SpecError(
            f"{where} names {name!r}, where no quoted number stands; "
            f"expected one of the columns {', '.join(table.columns)} that quotes one, or *"
        )
    return tuple(numbers)
