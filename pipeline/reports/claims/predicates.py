"""The kinds of predicates that a claim can be, over numbers named in the tables.

A predicate names numbers in four ways: `table2/context-aware` (a cell),
`table9/SAC [50] ResNet101:mIoU%` (a quoted number, by the texts of its row and its column),
`table7/aero:*` (every quoted number of a row) and `table8/*:mIoU%` (every one of a column).

It is written down as conditions on linear slacks (`conditions.py`). Its margin is the
worst-case slack: how much the numbers could move against the claim before it flips.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from itertools import combinations
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from dmnet.config import Section
from pipeline.reports.claims.conditions import AtLeast, Condition, Slack, Values, every, some

Number = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+/[^*]+$")]  # exactly one number
# ... or the quoted numbers of a row or a column.
Numbers = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+/([^*]+|[^*]+:\*|\*:[^*]+)$")]
REFERENCES = ("cell", "cells", "left", "right")  # the keys whose values are such names


class _Predicate(Section):
    strict: ClassVar[bool] = True  # a margin of exactly 0 is a tie, and does not hold
    absolute: ClassVar[bool] = False  # about a figure: only comparable at the published scale

    @abstractmethod
    def condition(self, published: Values, margin: float | None = None) -> Condition:
        """What has to be true of the cells.

        published: a name as written -> its number or numbers; those that are quoted are taken as
        printed. margin: the verdicts', in place of a figure's tolerance for the paper's numbers.
        """

    def references(self) -> list[tuple[str, str]]:
        """(key, name) of every number it names."""
        names = []
        for key in REFERENCES:
            value = getattr(self, key, ())
            names += [(key, name) for name in ((value,) if isinstance(value, str) else value)]
        return names


class Greater(_Predicate):
    """Every number on the left is greater than every one on the right."""

    kind: Literal["greater"]
    left: tuple[Numbers, ...] = Field(min_length=1)
    right: tuple[Numbers, ...] = Field(min_length=1)

    def condition(self, published: Values, margin: float | None = None) -> Condition:
        return _above(self.left, self.right, published)


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

    def pairs(self, published: Values) -> list[Condition]:
        both = zip(self.left, self.right, strict=True)
        return [_above((left,), (right,), published) for left, right in both]


class Pairwise(_Paired):
    """Each number on the left is greater than its partner on the right."""

    kind: Literal["pairwise"]

    def condition(self, published: Values, margin: float | None = None) -> Condition:
        return every(self.pairs(published))


class Most(_Paired):
    """As Pairwise, in more than half of the pairs; the margin is that of the last pair needed."""

    kind: Literal["most"]

    def condition(self, published: Values, margin: float | None = None) -> Condition:
        pairs = self.pairs(published)
        return AtLeast(len(pairs) // 2 + 1, tuple(pairs))


class Order(_Predicate):
    """Each cell is greater than the next one."""

    kind: Literal["order"]
    cells: tuple[Number, ...] = Field(min_length=2)

    def condition(self, published: Values, margin: float | None = None) -> Condition:
        steps = zip(self.cells, self.cells[1:], strict=False)
        return every([Slack({before: 1.0, after: -1.0}) for before, after in steps])


class RisesThenDeclines(_Predicate):
    """Every step goes up to a cell that is neither first nor last, and down after it."""

    kind: Literal["rises_then_declines"]
    cells: tuple[Number, ...] = Field(min_length=3)

    def condition(self, published: Values, margin: float | None = None) -> Condition:
        def up(step: int, sign: float) -> Slack:
            return Slack({self.cells[step + 1]: sign, self.cells[step]: -sign})

        steps = range(len(self.cells) - 1)
        return some(
            [
                every([up(step, 1.0 if step < peak else -1.0) for step in steps])
                for peak in steps[1:]
            ]
        )


class Gap(_Predicate):
    """The first cell leads the second by more on the left than on the right.

    times: of the left's lead, so that 0.5 asks for a lead of less than half on the right.
    """

    kind: Literal["gap"]
    left: tuple[Number, Number]
    right: tuple[Number, Number]
    times: float = Field(1.0, gt=0)

    def condition(self, published: Values, margin: float | None = None) -> Condition:
        (high, low), (other_high, other_low) = self.left, self.right
        return Slack({high: self.times, low: -self.times, other_high: -1.0, other_low: 1.0})


class Equal(_Predicate):
    """The cells lie no further apart than `within`."""

    strict: ClassVar[bool] = False
    kind: Literal["equal"]
    cells: tuple[Number, ...] = Field(min_length=2)
    within: float = Field(ge=0)

    def condition(self, published: Values, margin: float | None = None) -> Condition:
        pairs = combinations(self.cells, 2)
        return every([Slack({a: 1.0, b: -1.0}, tolerance=self.within) for a, b in pairs])


class _Figure(_Predicate):
    """A stated figure; `within` is the tolerance for the paper's own numbers."""

    strict: ClassVar[bool] = False
    absolute: ClassVar[bool] = True
    about: float
    within: float = Field(ge=0)


class Difference(_Figure):
    """Each number on the left leads every one on the right by about a figure.

    For ours the tolerance is sqrt(2) of the verdicts' margin, as a difference of two trainings
    scatters sqrt(2) times as much as one.
    """

    kind: Literal["difference"]
    left: tuple[Number, ...] = Field(min_length=1)
    right: tuple[Number, ...] = Field(min_length=1)

    def condition(self, published: Values, margin: float | None = None) -> Condition:
        tolerance = self.within if margin is None else 2**0.5 * margin
        return every(
            [
                Slack({left: 1.0, right: -1.0}, -self.about, tolerance, stated=True)
                for left in self.left
                for right in self.right
            ]
        )


class Value(_Figure):
    """The cell is about a figure; for ours within the verdicts' margin."""

    kind: Literal["value"]
    cell: Number

    def condition(self, published: Values, margin: float | None = None) -> Condition:
        tolerance = self.within if margin is None else margin
        return Slack({self.cell: 1.0}, -self.about, tolerance, stated=True)


Predicate = Annotated[
    Greater | Pairwise | Most | Order | RisesThenDeclines | Gap | Equal | Difference | Value,
    Field(discriminator="kind"),
]


def is_quoted(name: str) -> bool:
    """Whether it names numbers that the paper quotes from others."""
    return ":" in name


def _above(left: tuple[str, ...], right: tuple[str, ...], published: Values) -> Condition:
    """Every number on the left is greater than every one on the right.

    Only the least of the quoted numbers on the left counts, and the greatest on the right: they do
    not scatter, so nothing is gained by comparing with each.
    """
    highs, floor = _split(left, published, min)
    lows, ceiling = _split(right, published, max)
    slacks = [Slack({high: 1.0, low: -1.0}) for high in highs for low in lows]
    if ceiling is not None:
        slacks += [Slack({high: 1.0}, -ceiling) for high in highs]
    if floor is not None:
        slacks += [Slack({low: -1.0}, floor) for low in lows]
    if floor is not None and ceiling is not None:
        slacks.append(Slack({}, floor - ceiling))
    return every(slacks)


def _split(
    names: tuple[str, ...], published: Values, extreme: Callable[[list[float]], float]
) -> tuple[list[str], float | None]:
    """The cells, and the least or greatest of the quoted numbers (None without one)."""
    numbers = [number for name in names if is_quoted(name) for number in published[name]]
    cells = [name for name in names if not is_quoted(name)]
    return cells, extreme(numbers) if numbers else None
