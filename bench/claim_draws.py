"""Synthetic trainings whose true means are known, judged by the claims' own rule.

They scatter normally, by `prior_sd` or half or twice of it, and are printed to two places. Where a
figure is stated, the training behind it scatters like ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.experiments import Experiment
from pipeline.experiments.cells import TrainedCell
from pipeline.reports.claims.conditions import Values, lower_bound, margin_of, upper_bound
from pipeline.reports.claims.file import Claim
from pipeline.reports.claims.judged import is_refuted, is_shown
from pipeline.reports.claims.predicates import Equal, Predicate
from pipeline.reports.claims.spread import CellNumbers, estimator
from pipeline.reports.verdict import Rules, Threshold

DRAWS = 5_000  # per combination: a rate of 5 % is then known to 0.3 points (standard error)
GENERATOR_SEED = 2019


@dataclass(frozen=True)
class DrawnCell:
    """Where a synthetic cell's numbers come from."""

    mean: float  # the true one, in points
    rule: Threshold
    weights: str  # the training's name: cells that share it differ only in protocol


@dataclass(frozen=True)
class ClaimRates:
    """Shares of the draws by status."""

    holds: float
    fails: float

    @property
    def inconclusive(self) -> float:
        return 1 - self.holds - self.fails


@dataclass(frozen=True)
class Drawing:
    """How the synthetic trainings are drawn, and what the rule knows of it."""

    seeds: int
    spread: float = 1.0  # the true one, in prior_sd
    known: bool = True  # the prior
    correlation: float | None = None  # true one of protocols on the same weights; None: as assumed
    draws: int = DRAWS


def draw(
    predicate: Predicate,
    published: Values,
    cells: Mapping[str, DrawnCell],
    assumed: float,
    setting: Drawing,
) -> ClaimRates:
    """The rule's statuses; assumed: the correlation that it reckons with. Equal calls agree."""
    import numpy as np

    generator = np.random.default_rng(GENERATOR_SEED)
    names, size = [cell.weights for cell in cells.values()], (setting.seeds, setting.draws)
    correlation = assumed if setting.correlation is None else setting.correlation
    common = {name: generator.normal(0, 1, size) for name in dict.fromkeys(names)}
    measured = {}
    for name, cell in cells.items():
        tied = correlation if names.count(cell.weights) > 1 else 0.0
        own = generator.normal(0, 1, size)
        noise = tied**0.5 * common[cell.weights] + (1 - tied) ** 0.5 * own
        if predicate.absolute:  # the published training's, which the stated figure has in it
            noise = noise - generator.normal(0, 1, setting.draws)
        values = np.round(cell.mean + setting.spread * cell.rule.prior_sd * noise, 2)
        mean = np.round(np.mean(values, axis=0), 2)
        rule = cell.rule if setting.known else None
        measured[name] = CellNumbers(values, mean, (cell.weights,), name, rule)
    first = min((cell.rule for cell in cells.values()), key=lambda rule: rule.margin)
    condition, error = predicate.condition(published, first.margin), 1 - first.confidence
    estimate = estimator(measured, assumed)
    low = np.round(lower_bound(condition, estimate, error), 3)
    high = np.round(upper_bound(condition, estimate, error), 3)
    holds, fails = is_shown(predicate, low).mean(), is_refuted(predicate, high).mean()
    return ClaimRates(float(holds), float(fails))


def at_published_numbers(
    claim: Claim, experiment: Experiment, rules: Rules, setting: Drawing
) -> ClaimRates | None:
    """None where ours are never judged, nothing scatters, or the claim is about one run."""
    predicate = claim.spec.predicate
    if predicate is None or claim.spec.only_on_paper or isinstance(predicate, Equal):
        return None
    known = {cell.id: cell for cell in experiment.cells}
    sources = {}
    for name in claim.cells:
        cell = known[name]
        if not isinstance(cell, TrainedCell):
            return None
        rule = rules.of(str(cell.published_dataset), cell.spec.metric)
        sources[name] = DrawnCell(claim.published[name][0], rule, cell.evaluations[0].run_key)
    return draw(predicate, claim.published, sources, rules.file.same_weights.value, setting)


def holds_at_published_numbers(claim: Claim, experiment: Experiment, rules: Rules) -> bool:
    """Whether the claim on ours would be true if the published numbers were the true means."""
    assert claim.spec.predicate is not None
    known = {cell.id: cell for cell in experiment.cells}
    margin = min(
        rules.of(str(known[name].published_dataset), known[name].spec.metric).margin
        for name in claim.cells
    )
    condition = claim.spec.predicate.condition(claim.published, margin)
    means = {name: claim.published[name][0] for name in claim.cells}
    return bool(is_shown(claim.spec.predicate, round(float(margin_of(condition, means)), 3)))
