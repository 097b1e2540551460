"""Conditions on slacks: margins, and bounds that are right whatever ties their numbers together."""

from __future__ import annotations

import pytest
from scipy import stats

from pipeline.reports.claims.conditions import (
    AtLeast,
    Estimate,
    Slack,
    lower_bound,
    margin_of,
    upper_bound,
)
from pipeline.reports.claims.judged import status_of
from pipeline.reports.claims.predicates import Most, RisesThenDeclines

DF = 8.0


def bounds(condition, totals, error=0.05):
    """Every slack's sum has standard error 1 and 8 degrees of freedom."""

    def estimate(slack):
        return Estimate(slack.of(totals), 1.0, DF)

    return float(lower_bound(condition, estimate, error)), float(
        upper_bound(condition, estimate, error)
    )


def reach(error):
    return float(stats.t.ppf(1 - error, DF))


def at_least(count, names):
    return AtLeast(count, tuple(Slack({name: 1.0}) for name in names))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_at_least_k_of_n_hangs_on_the_kth_and_corrects_for_the_chances_that_are_left(count):
    totals = {"a": 7.0, "b": 5.0, "c": 2.0}
    condition = at_least(count, totals)
    kth = sorted(totals.values(), reverse=True)[count - 1]
    assert margin_of(condition, totals) == kth
    low, high = bounds(condition, totals)
    assert low == pytest.approx(kth - reach(0.05 / (3 - count + 1)))
    assert high == pytest.approx(kth + reach(0.05 / count))


def test_a_tolerance_is_an_equivalence_test():
    condition = Slack({"a": 1.0}, -80.0, tolerance=5.0)
    assert margin_of(condition, {"a": 82.0}) == 3.0
    low, high = bounds(condition, {"a": 82.0})
    assert low == pytest.approx(5 - (2 + reach(0.05)))
    assert high == pytest.approx(5 - (2 - reach(0.05)))
    assert bounds(condition, {"a": 80.5})[1] == 5.0, "no margin is larger than the tolerance"


@pytest.mark.parametrize(
    ("numbers", "margin"),
    [((1, 3, 2), 1), ((1, 2, 3), -1), ((3, 2, 1), -1), ((1, 4, 3, 6, 2), -1), ((1, 1, 0), 0)],
)
def test_rises_then_declines_needs_one_peak_inside(numbers, margin):
    means = {f"t/c{place}": float(number) for place, number in enumerate(numbers)}
    predicate = RisesThenDeclines(kind="rises_then_declines", cells=tuple(means))
    found = float(margin_of(predicate.condition({}), means))
    assert found == margin
    assert status_of(predicate, found, found) == ("holds" if margin > 0 else "does not hold")


@pytest.mark.parametrize(
    ("wins", "of", "status"),
    [(3, 4, "holds"), (2, 4, "does not hold"), (2, 3, "holds"), (1, 3, "does not hold")],
)
def test_most_needs_more_than_half(wins, of, status):
    left = ("t/high",) * wins + ("t/low",) * (of - wins)
    predicate = Most(kind="most", left=left, right=("t/middle",) * of)
    means = {"t/high": 2.0, "t/middle": 1.0, "t/low": 0.0}
    margin = float(margin_of(predicate.condition({}), means))
    assert status_of(predicate, margin, margin) == status
