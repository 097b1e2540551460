"""How far our order of a table's methods agrees with the published one.

Spearman's rank correlation over the cells that measure the same thing, with a 95 % interval by
bootstrapping the cells (percentiles; scipy). An order can be compared at every preset: it asks
whether the better methods are the better ones here, not whether the numbers agree.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pipeline.reports.model.report import Agreement, ReportedCell

FEWEST = 5  # cells below which an interval means nothing
RESAMPLES = 1000
LEVEL = 0.95


def rank_agreement(cells: Sequence[ReportedCell]) -> Agreement | None:
    """Of a report's cells; None without three that have both numbers.

    One number per measurement: cells whose runs ended with the same weights, and that share
    evaluation and metric, count once, with the mean of their published numbers. Only the metric
    that most cells have (mIoU, or the classes' IoU) and trained numbers take part.
    """
    pairs = _pairs(cells)
    if len(pairs) < 3:
        return None
    published = [pair[0] for pair in pairs]
    ours = [pair[1] for pair in pairs]
    low, high = _interval(published, ours) if len(pairs) >= FEWEST else (None, None)
    spearman = _spearman(published, ours)
    return Agreement(cells=len(pairs), spearman=spearman, low=low, high=high)


def rank_agreements(cells: Sequence[ReportedCell]) -> dict[str, Agreement]:
    """The same for the cells of each published dataset by itself; those without one are left out.

    Over datasets together any method would agree: one's numbers are higher than another's.
    """
    groups: dict[str, list[ReportedCell]] = {}
    for cell in cells:
        if cell.dataset is not None:
            groups.setdefault(cell.dataset, []).append(cell)
    agreements = {name: rank_agreement(group) for name, group in groups.items()}
    return {name: agreement for name, agreement in agreements.items() if agreement is not None}


def describe_agreement(agreement: Agreement) -> str:
    """For people, on one line."""
    text = f"{agreement.spearman:+.2f} over {agreement.cells} cells (Spearman)"
    if agreement.low is None:
        return f"{text}; too few cells for an interval"
    return f"{text}, 95 % interval {agreement.low:+.2f} to {agreement.high:+.2f}"


def _pairs(cells: Sequence[ReportedCell]) -> list[tuple[float, float]]:
    groups: dict[bool, dict[str, list[tuple[float, float]]]] = {True: {}, False: {}}
    for cell in cells:
        if cell.source != "trained" or cell.published is None or cell.ours is None:
            continue
        measured = [(run.weights_sha256, run.evaluation) for run in cell.runs]
        alike = groups[cell.metric == "miou"].setdefault(f"{measured} {cell.metric}", [])
        alike.append((cell.published, cell.ours))
    return [
        (statistics.fmean(published for published, _ in alike), alike[0][1])
        for alike in max(groups.values(), key=len).values()
    ]


def _spearman(published: Sequence[float], ours: Sequence[float]) -> float:
    """0 where one side is constant: there is no order to agree with."""
    from scipy.stats import spearmanr

    if len(set(published)) < 2 or len(set(ours)) < 2:
        return 0.0
    return round(float(spearmanr(published, ours).statistic), 3)


def _interval(published: Sequence[float], ours: Sequence[float]) -> tuple[float, float]:
    import numpy as np
    from scipy.stats import bootstrap

    bounds = bootstrap(
        (np.asarray(published), np.asarray(ours)),
        _spearman,
        paired=True,
        vectorized=False,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return round(float(bounds.low), 3), round(float(bounds.high), 3)
