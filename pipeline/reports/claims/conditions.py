"""What a claim says as conditions on linear slacks, and how sure one can be of them.

A slack is a weighted sum of cells' true means, such as a - b. A condition asks for at least k of
its parts: all of them, some of them, most of them. Its margin is that of the part on which it
hangs, the k-th largest. With n parts, and whatever ties their numbers together,

    lower bound at error a   the k-th largest of the parts' lower bounds at a / (n - k + 1)
    upper bound at error a   the k-th largest of the parts' upper bounds at a / k

So a conjunction is shown part by part (intersection-union test; Berger 1982) and refuted with
Bonferroni's correction, a disjunction the other way round, and anything between as a partial
conjunction (Benjamini and Heller 2008). Why it is right: if the margin is m, all parts but k - 1
are at most m, and for the bound to lie above m one of those n - k + 1 has to.

Everything takes numbers, or arrays of them (`bench/claim_draws.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, tuple[float, ...]]  # a name as written -> its number or numbers


@dataclass(frozen=True)
class Slack:
    """`weights` times cells plus `constant` is greater than 0, or within ± `tolerance` of it."""

    weights: Mapping[str, float]
    constant: float = 0.0
    tolerance: float | None = None
    stated: bool = False  # the constant is a figure from trainings, and as noisy as one of ours

    def of(self, means: Mapping[str, Any]) -> Any:
        """The sum, without the tolerance."""
        return sum((w * means[name] for name, w in self.weights.items()), self.constant)

    def margin(self, total: Any) -> Any:
        return total if self.tolerance is None else self.tolerance - abs(total)


@dataclass(frozen=True)
class AtLeast:
    """At least `count` of the parts are true."""

    count: int
    parts: tuple[Condition, ...]


Condition = Slack | AtLeast


@dataclass(frozen=True)
class Estimate:
    """A slack's sum as it was measured; numbers or arrays."""

    total: Any
    standard_error: Any  # 0: exact; infinite: unknown
    degrees_of_freedom: float


Estimator = Callable[[Slack], Estimate]


def every(parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else AtLeast(len(parts), tuple(parts))


def some(parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else AtLeast(1, tuple(parts))


def margin_of(condition: Condition, means: Mapping[str, Any]) -> Any:
    """The worst-case slack of these numbers."""
    if isinstance(condition, Slack):
        return condition.margin(condition.of(means))
    return _kth(condition, [margin_of(part, means) for part in condition.parts])


def lower_bound(condition: Condition, estimate: Estimator, error: float) -> Any:
    """A number that exceeds the true margin with probability `error` at most."""
    if isinstance(condition, Slack):
        estimated = estimate(condition)
        return condition.margin(estimated.total) - _reach(estimated, error)
    share = error / (len(condition.parts) - condition.count + 1)
    return _kth(condition, [lower_bound(part, estimate, share) for part in condition.parts])


def upper_bound(condition: Condition, estimate: Estimator, error: float) -> Any:
    """A number that is below the true margin with probability `error` at most.

    Of a tolerance this holds if it is wider than the standard error; at 0 it would be twice that.
    """
    import numpy as np

    if isinstance(condition, Slack):
        estimated = estimate(condition)
        reach = _reach(estimated, error)
        if condition.tolerance is None:
            return estimated.total + reach
        return condition.tolerance - np.maximum(abs(estimated.total) - reach, 0.0)
    share = error / condition.count
    return _kth(condition, [upper_bound(part, estimate, share) for part in condition.parts])


def _reach(estimated: Estimate, error: float) -> Any:
    """How far a one-sided bound lies from the estimate (numbers or arrays)."""
    from scipy import stats

    return estimated.standard_error * stats.t.ppf(1 - error, estimated.degrees_of_freedom)


def _kth(condition: AtLeast, bounds: list[Any]) -> Any:
    """The `count`-th largest of the parts' numbers, or of each place of their arrays."""
    import numpy as np

    return np.sort(np.stack(np.broadcast_arrays(*bounds)), axis=0)[len(bounds) - condition.count]
