"""The kinds of predicates that a claim can be, over numbers named in the tables.

A predicate names numbers in three ways: `table2/context-aware` (a cell),
`table9/SAC [50] ResNet101:mIoU%` (a quoted number, by the texts of its row and its column) and
`table7/aero:*` (every quoted number of a row). Its margin is the worst-case slack: how much the
numbers could move against the sentence before it flips.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from dmnet.config import Section

Number = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+/[^*]+$")]  # exactly one number
Numbers = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+/([^*]+|[^*]+:\*)$")]  # or a quoted row
Values = Mapping[str, tuple[float, ...]]  # a name as written -> its number or numbers
REFERENCES = ("cell", "cells", "among", "left", "right")  # the keys whose values are such names


class _Predicate(Section):
    strict: ClassVar[bool] = True  # a margin of exactly 0 is a tie, and does not hold
    absolute: ClassVar[bool] = False  # about a figure: only comparable at the published scale

    @abstractmethod
    def margin(self, values: Values, on_ours: bool) -> float:
        """How far the numbers could move against the sentence before it flips."""

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
