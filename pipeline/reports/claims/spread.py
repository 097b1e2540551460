"""How far a slack of our numbers may lie from that of the true means.

With n seeds of every cell, L a slack's weighted sum and L_1 ... L_n its value at each seed,

    variance        s2 = (prior_df * prior_var + (n - 1) * var(L_1 ... L_n)) / (prior_df + n - 1)
    standard error  sqrt(s2 / n), or sqrt(s2 * (1/n + 1)) beside a stated figure,
                    with prior_df + n - 1 degrees of freedom

which is the verdicts' moderated variance (`verdict.py`) of the sum in the place of one cell:
what ties cells together at a seed is in the seeds' own variance. The prior's is that of independent
trainings, but for

- cells that are one measurement, or whose runs ended with the same weights: their weights add up;
- one run's weights measured by several protocols: they are correlated as `same_weights` of
  params/verdicts.yaml says. A run that continues another's weights counts as independent, which can
  only widen the interval.

Where no prior is known (presets that are not judged) the seeds' own variance stands alone, and one
seed says nothing. Counts do not scatter.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.reports.claims.conditions import Estimate, Estimator, Slack
from pipeline.reports.verdict import Threshold, pooled_sd


@dataclass(frozen=True)
class CellNumbers:
    """A cell's numbers, and what they share with others'."""

    values: Any  # one per seed (a number, or an array of them)
    mean: Any  # of them, as it is printed
    weights: tuple[str, ...]  # SHA-256 of what each seed's run ended with
    protocol: str  # evaluation and metric
    rule: Threshold | None = None  # with the prior; None where none is known
    counted: bool = False


def estimator(measured: Mapping[str, CellNumbers], correlation: float) -> Estimator:
    """For slacks over these cells. correlation: of two protocols on the same weights."""

    def estimate(slack: Slack) -> Estimate:
        import numpy as np

        cells = {name: measured[name] for name in slack.weights}
        total = slack.of({name: cell.mean for name, cell in cells.items()})
        weights = _per_measurement(slack, cells)
        if not weights:
            return Estimate(total, 0.0, math.inf)
        seeds = len(next(cell for cell in cells.values() if not cell.counted).values)
        rule = _prior(weights, correlation)
        if seeds == 1 and rule.prior_df == 0:
            return Estimate(total, math.inf, 1.0)
        own = 0.0 * total
        if seeds > 1:
            values = {name: np.asarray(cell.values) for name, cell in cells.items()}
            own = np.std(slack.of(values), axis=0, ddof=1)
        error = pooled_sd(own, seeds, rule) * math.sqrt(1 / seeds + slack.stated)
        return Estimate(total, error, rule.prior_df + seeds - 1)

    return estimate


def _per_measurement(
    slack: Slack, cells: Mapping[str, CellNumbers]
) -> list[tuple[CellNumbers, float]]:
    """The slack's weight of each measurement that scatters; those of one add up, perhaps to 0."""
    measurements: dict[tuple[Any, ...], tuple[CellNumbers, float]] = {}
    for name, weight in slack.weights.items():
        cell = cells[name]
        if not cell.counted:
            key = (cell.weights, cell.protocol)
            measurements[key] = (cell, measurements.get(key, (cell, 0.0))[1] + weight)
    return [(cell, weight) for cell, weight in measurements.values() if abs(weight) > 1e-9]


def _prior(weights: list[tuple[CellNumbers, float]], correlation: float) -> Threshold:
    """Of the weighted sum of independent trainings; worth 0 degrees of freedom if none is known."""
    rules = [cell.rule for cell, _ in weights if cell.rule is not None]
    if len(rules) < len(weights):
        return Threshold(0.0, 0.0, 0.0, 0.0)
    groups: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for (cell, weight), rule in zip(weights, rules, strict=True):
        groups[cell.weights].append(weight * rule.prior_sd)
    variance = sum(
        (1 - correlation) * sum(part**2 for part in parts) + correlation * sum(parts) ** 2
        for parts in groups.values()
    )
    least = min(rules, key=lambda rule: rule.prior_df)
    return replace(least, prior_sd=math.sqrt(variance))
