"""A cell's verdict: is the published number reproduced, by an equivalence test with a margin?

The published number is one training run and carries seed noise as ours do. With n seeds of ours,

    difference      mean of ours - published
    variance        s2 = (prior_df * prior_sd^2 + (n - 1) * s_ours^2) / (prior_df + n - 1)
    standard error  sqrt(s2 * (1/n + 1)), with prior_df + n - 1 degrees of freedom

Two one-sided t tests (TOST; Schuirmann 1987) read off one interval: wholly within the margin is
`reproduced`, wholly beyond it `not reproduced`, anything else `inconclusive`. The variance is the
moderated one of Smyth (2004): with one seed the prior alone, with many the seeds' own.

The values stand in `params/verdicts.yaml`; `docs/verdicts.md` has the measured error rates.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dmnet.config import Section, parse
from pipeline.errors import SpecError
from pipeline.experiments import Cell, Experiment
from pipeline.experiments.cells import TrainedCell
from pipeline.reports.model.report import Verdict
from pipeline.results.cells import CellResult
from pipeline.spec.yaml_files import load_yaml

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, NOT_COMPARABLE = "inconclusive", "not comparable"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_COMPARABLE)

MetricKind = Literal["miou", "class_iou"]


class Assumed(Section):
    """A positive number that no source states, and why it is this one."""

    value: float = Field(gt=0)
    assumed: str = Field(min_length=1)


class Confidence(Assumed):
    value: float = Field(gt=0.5, lt=1)


class Correlation(Assumed):
    value: float = Field(ge=0, lt=1)


class Rule(Section):
    """What counts as equal, and how far two seeds lie apart; points of mIoU or IoU."""

    margin: Assumed
    prior_sd: Assumed
    prior_df: Assumed


class VerdictsFile(Section):
    confidence: Confidence  # of each one-sided bound
    same_weights: Correlation  # of two protocols on one training's weights, over seeds
    rules: dict[str, dict[MetricKind, Rule]] = Field(min_length=1)


@dataclass(frozen=True)
class Threshold:
    """The numbers of one rule, as the test uses them."""

    margin: float
    prior_sd: float
    prior_df: float
    confidence: float  # of each one-sided test


@dataclass(frozen=True)
class Rules:
    """The checked `params/verdicts.yaml`."""

    path: Path
    file: VerdictsFile

    def of(self, dataset: str, metric: str) -> Threshold:
        """The rule of a published dataset and a metric (miou, iou.<class name>), else SpecError."""
        if dataset not in self.file.rules:
            raise SpecError(
                f"{self.path}: key `rules.{dataset}` is missing; say there what counts as equal "
                f"on this dataset (it has {', '.join(self.file.rules)})"
            )
        kind: Any = "class_iou" if metric.startswith("iou.") else metric
        rule = self.file.rules[dataset].get(kind)
        if rule is None:
            raise SpecError(
                f"{self.path}: key `rules.{dataset}.{kind}` is missing; say there what counts as "
                f"equal in {metric} (it has {', '.join(self.file.rules[dataset])})"
            )
        numbers = (rule.margin, rule.prior_sd, rule.prior_df, self.file.confidence)
        return Threshold(*(number.value for number in numbers))

    def check(self, experiment: Experiment) -> None:
        """Raises SpecError now, not after days of training, where a judged cell has no rule."""
        for cell in experiment.cells:
            if isinstance(cell, TrainedCell) and why_not_comparable(cell, experiment) is None:
                self.of(str(cell.published_dataset), cell.spec.metric)


def load_rules(folder: Path) -> Rules:
    """`folder/verdicts.yaml`. Raises SpecError or ConfigError naming the file and the key."""
    path = folder / "verdicts.yaml"
    file = parse(VerdictsFile, load_yaml(path), str(path))
    known = sorted(dataset.stem for dataset in (folder / "datasets").glob("*.yaml"))
    for name in file.rules:
        if name not in known:
            raise SpecError(
                f"{path}: key `rules.{name}` names an unknown dataset; expected one of "
                f"{', '.join(known)}"
            )
    return Rules(path, file)


def pooled_sd(own_sd: Any, seeds: int, rule: Threshold) -> Any:
    """Standard deviation of one training: the prior's and the seeds' own, weighted by their df.

    own_sd: sample standard deviation over the seeds (number or array), ignored with one seed.
    """
    own = (seeds - 1) * own_sd**2 if seeds > 1 else 0.0 * own_sd
    return ((rule.prior_df * rule.prior_sd**2 + own) / (rule.prior_df + seeds - 1)) ** 0.5


def interval(difference: Any, sd: Any, seeds: int, rule: Threshold) -> tuple[Any, Any]:
    """Both one-sided confidence bounds of the true difference (numbers or arrays)."""
    from scipy import stats

    degrees, scale = rule.prior_df + seeds - 1, sd * math.sqrt(1 / seeds + 1)
    return stats.t.interval(2 * rule.confidence - 1, degrees, loc=difference, scale=scale)


def is_within(low: Any, high: Any, margin: float) -> Any:
    """The whole interval lies within the margin: `reproduced`."""
    return (low > -margin) & (high < margin)


def is_beyond(low: Any, high: Any, margin: float) -> Any:
    """The whole interval lies beyond the margin, on either side: `not reproduced`."""
    return (low > margin) | (high < -margin)


def judge_trained(ours: Sequence[float], published: float, rule: Threshold) -> Verdict:
    """The verdict on one value per seed, all in points.

    The rounding of the published number (uniform, at most half of 0.1) would widen the standard
    error by less than 1 % of itself and is left out; the measured error rates include it.
    """
    seeds = len(ours)
    difference = round(round(statistics.fmean(ours), 2) - published, 2)
    sd = pooled_sd(statistics.stdev(ours) if seeds > 1 else 0.0, seeds, rule)
    low, high = map(float, interval(difference, sd, seeds, rule))
    status, remark = INCONCLUSIVE, None
    if is_within(low, high, rule.margin):
        status = REPRODUCED
    elif is_beyond(low, high, rule.margin):
        status = NOT_REPRODUCED
        remark = f"ours is {'better' if difference > 0 else 'worse'} by more than the margin"
    elif high - low >= 2 * rule.margin:
        remark = "at this spread these seeds cannot show equality; more seeds can"
    return Verdict(
        status=status,
        difference=difference,
        interval=(round(low, 3), round(high, 3)),
        confidence=rule.confidence,
        margin=rule.margin,
        seeds=seeds,
        spread=round(float(sd), 3),
        degrees_of_freedom=rule.prior_df + seeds - 1,
        remark=remark,
    )


def judge_counted(ours: float, published: float, decimals: int) -> Verdict:
    """A count has no spread: it is reproduced when it rounds to what is printed."""
    half_unit, difference = 0.5 * 10**-decimals, round(ours - published, 2)
    return Verdict(
        status=REPRODUCED if abs(difference) <= half_unit else NOT_REPRODUCED,
        difference=difference,
        margin=half_unit,
        remark="counted as the notes say; the margin is half a unit of the last printed place",
    )


def why_not_comparable(cell: Cell, experiment: Experiment, official: bool = False) -> str | None:
    """The reason, known before anything is measured, why no verdict can be given; or None.

    official: the figure is a test server's, so it was measured where the published one was.
    """
    if cell.spec.published is None:
        return "no published number"
    if cell.of_one_device:
        return "speed and memory of another device than the published one"
    reason = cell.spec.not_comparable
    if cell.exact:
        return reason
    if not experiment.preset.judged:
        return f"preset {experiment.preset_name} is not the published scale"
    if official:
        return None
    if cell.dataset is not None and cell.dataset.name != cell.published_dataset:
        return f"measured on {cell.dataset.name}, a stand-in for {cell.published_dataset}"
    return reason


def judge(result: CellResult, experiment: Experiment, rules: Rules | None) -> Verdict | None:
    """The cell's verdict; None as long as it has no result.

    rules: needed at judged presets only. Raises SpecError where they lack the cell's dataset.
    """
    cell, published = result.cell, result.cell.spec.published
    if result.outcome == "absent":
        return Verdict(status=NOT_COMPARABLE, remark="the class does not occur in the data")
    if result.ours is None:
        return None
    if result.outcome == "released":
        remark = "the published weights, evaluated here: nothing was trained again"
        return Verdict(status=NOT_COMPARABLE, remark=remark)
    official = result.outcome == "official"
    reason = why_not_comparable(cell, experiment, official)
    if reason is not None or published is None:
        return Verdict(status=NOT_COMPARABLE, remark=reason)
    if cell.exact:
        return judge_counted(result.ours, published, experiment.tables[cell.table].decimals)
    if rules is None:
        raise SpecError(f"{cell.id}: a judged preset needs params/verdicts.yaml; add it")
    values = [result.ours] if official else result.values
    return judge_trained(values, published, rules.of(str(cell.published_dataset), cell.spec.metric))
