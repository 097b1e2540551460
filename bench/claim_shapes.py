"""The shapes of condition that claims have, with true means on and beside their boundary.

One slack at 0 and the others far off is the worst case for `holds` of a conjunction, all slacks at
0 that for its `does not hold`; a disjunction the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.claim_draws import ClaimRates, Drawing, DrawnCell, draw
from pipeline.reports.claims.predicates import (
    Difference,
    Gap,
    Greater,
    Most,
    Order,
    Pairwise,
    Predicate,
    RisesThenDeclines,
    Value,
)
from pipeline.reports.verdict import Threshold

FAR = 30.0  # prior_sd: beyond any doubt


@dataclass(frozen=True)
class Shape:
    """A kind of condition, and true means at which its margin is what is asked for."""

    title: str
    predicate: Predicate
    means: Callable[[float], Mapping[str, float]]  # margin -> cell -> mean, both in prior_sd
    one_training: bool = False  # its cells are protocols on the same weights

    def rates(self, rule: Threshold, assumed: float, margin: float, setting: Drawing) -> ClaimRates:
        """At this true margin, in prior_sd."""
        cells = {
            name: DrawnCell(rule.prior_sd * mean, rule, "one" if self.one_training else name)
            for name, mean in self.means(margin).items()
        }
        published = {name: (0.0,) for name in cells} | {"t/quoted:x": (0.0,)}
        return draw(self.predicate, published, cells, assumed, setting)


def shapes(rule: Threshold) -> list[Shape]:
    """One or more of every kind of predicate but `equal`, which needs no judgement: where the
    paper's claims have it, its cells are one run."""

    def cells(prefix: str, count: int) -> tuple[str, ...]:
        return tuple(f"t/{prefix}{place}" for place in range(count))

    def each(names: tuple[str, ...], means: list[float]) -> dict[str, float]:
        return dict(zip(names, means, strict=True))

    a, b, one = cells("a", 20), cells("b", 20), "t/a0"
    tolerance = rule.margin / rule.prior_sd
    pair = Greater(kind="greater", left=(one,), right=(b[0],))
    fourteen = Greater(kind="greater", left=(one,), right=b[:14])
    three = Greater(kind="greater", left=(one,), right=b[:3])
    pairs = Pairwise(kind="pairwise", left=a[:8], right=b[:8])
    order = Order(kind="order", cells=a[:4])
    rise = RisesThenDeclines(kind="rises_then_declines", cells=a[:7])
    most = Most(kind="most", left=a, right=b)
    none = dict.fromkeys(b, 0.0)
    return [
        Shape("one above one", pair, lambda m: {one: m, b[0]: 0.0}),
        Shape("one above one, the same weights", pair, lambda m: {one: m, b[0]: 0.0}, True),
        Shape(
            "above a quoted number",
            Greater(kind="greater", left=(one,), right=("t/quoted:x",)),
            lambda m: {one: m},
        ),
        Shape(
            "above 14, one of them near",
            fourteen,
            lambda m: {one: m} | dict.fromkeys(b[:14], -FAR) | {b[0]: 0.0},
        ),
        Shape("above 14, all near", fourteen, lambda m: {one: m} | dict.fromkeys(b[:14], 0.0)),
        Shape("above 3, all near", three, lambda m: {one: m} | dict.fromkeys(b[:3], 0.0)),
        Shape(
            "8 pairs, one near",
            pairs,
            lambda m: dict.fromkeys(a[:8], FAR) | dict.fromkeys(b[:8], 0.0) | {one: m},
        ),
        Shape(
            "8 pairs, all near",
            pairs,
            lambda m: dict.fromkeys(a[:8], m) | dict.fromkeys(b[:8], 0.0),
        ),
        Shape(
            "order of 4, one step near",
            order,
            lambda m: each(a[:4], [2 * FAR + m, 2 * FAR, FAR, 0.0]),
        ),
        Shape("order of 4, all near", order, lambda m: each(a[:4], [3 * m, 2 * m, m, 0.0])),
        Shape(
            "7 rise, then decline, one step near",
            rise,
            lambda m: each(a[:7], [0.0, FAR, 2 * FAR, 2 * FAR + m, 2 * FAR, FAR, 0.0]),
        ),
        Shape(
            "7 rise, then decline, all near",
            rise,
            lambda m: each(a[:7], [0.0, m, 2 * m, 3 * m, 2 * m, m, 0.0]),
        ),
        Shape(
            "most of 20 pairs, 10 clear, 10 near",
            most,
            lambda m: each(a, [FAR] * 10 + [m] * 10) | none,
        ),
        Shape(
            "most of 20 pairs, 9 lost, 11 near",
            most,
            lambda m: each(a, [-FAR] * 9 + [m] * 11) | none,
        ),
        Shape(
            "lead larger than a lead",
            Gap(kind="gap", left=(a[0], a[1]), right=(b[0], b[1])),
            lambda m: {a[0]: m, a[1]: 0.0, b[0]: 0.0, b[1]: 0.0},
        ),
        Shape(
            "a stated figure",
            Value(kind="value", cell=one, about=0.0, within=0.0),
            lambda m: {one: tolerance - m},
        ),
        Shape(
            "a stated difference",
            Difference(kind="difference", left=(one,), right=(b[0],), about=0.0, within=0.0),
            lambda m: {one: 2**0.5 * tolerance - m, b[0]: 0.0},
        ),
        Shape(
            "two stated differences, both near",
            Difference(kind="difference", left=(one,), right=b[:2], about=0.0, within=0.0),
            lambda m: {one: 2**0.5 * tolerance - m, b[0]: 0.0, b[1]: 0.0},
        ),
    ]
