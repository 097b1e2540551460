"""Whether the paper's claims hold: on its own numbers, and on ours, given how far seeds scatter.

The paper's numbers are taken as printed. Of ours a claim says something about the true means of its
recipes, each averaged over all seeds, and one or a few seeds only estimate them. So its margin gets
an interval of two one-sided bounds (`conditions.py`, `spread.py`), and it
`holds` where the whole interval lies above 0, `does not hold` where none of it does, and is
`inconclusive` otherwise. `docs/verdicts.md` explains it and has the measured error rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ResultError
from pipeline.escaping import few
from pipeline.reports.claims.conditions import lower_bound, margin_of, upper_bound
from pipeline.reports.claims.file import Claim
from pipeline.reports.claims.predicates import Equal, Predicate, is_quoted
from pipeline.reports.claims.spread import CellNumbers, estimator
from pipeline.reports.model.claims import CellOfClaim, Claims, JudgedClaim, Judgement
from pipeline.reports.model.report import Report, ReportedCell
from pipeline.reports.verdict import Rules

HOLDS, FAILS, INCONCLUSIVE = "holds", "does not hold", "inconclusive"
PENDING, NOT_COMPARABLE = "pending", "not comparable"


def evaluate_claims(
    claims: tuple[Claim, ...], reports: Mapping[str, Report], rules: Rules
) -> Claims:
    """One entry per claim. `reports` may lack tables; their cells are then pending.

    Raises ResultError when the reports are of different presets or numbers of seeds, SpecError when
    a judged dataset has no rule.
    """
    scales = {(report.preset.name, report.seeds) for report in reports.values()}
    if len(scales) > 1:
        found = ", ".join(f"{name} with {seeds} seed(s)" for name, seeds in sorted(scales))
        raise ResultError(f"the reports of the claims differ in scale ({found}); make them anew")
    ours = _Ours(
        {cell.cell: cell for report in reports.values() for cell in report.cells},
        all(report.preset.judged for report in reports.values()),
        frozenset(
            cell.cell
            for report in reports.values()
            for cell in report.cells
            if any(data.stand_in and data.published == cell.dataset for data in report.datasets)
        ),
        rules,
    )
    return Claims([_evaluate(claim, ours) for claim in claims])


@dataclass(frozen=True)
class _Ours:
    """The cells of all reports, and how they may be judged."""

    cells: Mapping[str, ReportedCell]
    judged: bool  # the preset
    elsewhere: frozenset[str]  # cells that are measured on a stand-in
    rules: Rules

    def at_published_scale(self, names: list[str]) -> bool:
        return self.judged and self.elsewhere.isdisjoint(names)


def _evaluate(claim: Claim, ours: _Ours) -> JudgedClaim:
    spec = claim.spec
    return JudgedClaim(
        claim=spec.id,
        says=spec.says,
        where=str(spec.where),
        predicate=spec.predicate.model_dump(mode="json") if spec.predicate else None,
        reading=spec.reading,
        bold=claim.mark is not None,
        note=spec.note,
        paper=_on_paper(claim),
        ours=_on_ours(claim, ours),
        cells=[
            CellOfClaim(
                cell=name,
                published=claim.published[name][0],
                ours=cell.ours if (cell := ours.cells.get(name)) else None,
                source=cell.source if cell else PENDING,
            )
            for name in claim.cells
        ],
        quoted={name: [*numbers] for name, numbers in claim.published.items() if is_quoted(name)},
    )


def _on_paper(claim: Claim) -> Judgement:
    predicate = claim.spec.predicate
    if predicate is None:
        return Judgement(status=NOT_COMPARABLE, remark=claim.spec.untested)
    means = {name: claim.published[name][0] for name in claim.cells}
    margin = _rounded(margin_of(predicate.condition(claim.published), means))
    return Judgement(status=status_of(predicate, margin, margin), margin=margin)


def _on_ours(claim: Claim, ours: _Ours) -> Judgement:
    spec, cells = claim.spec, ours.cells
    if spec.predicate is None or spec.only_on_paper is not None:
        return Judgement(status=NOT_COMPARABLE, remark=spec.untested or spec.only_on_paper)
    if claim.absolute and not ours.at_published_scale(claim.cells):
        return Judgement(status=NOT_COMPARABLE, remark="about a figure at the published scale")
    missing = [name for name in claim.cells if (c := cells.get(name)) is None or c.ours is None]
    if missing:
        absent = [name for name in missing if name in cells and cells[name].source == "absent"]
        why = "a class does not occur in the data" if absent else "no number yet"
        return Judgement(status=PENDING, remark=f"{why}: {few(absent or missing, 3)}")
    reported = [cells[name] for name in claim.cells]
    others = [cell.cell for cell in reported if cell.source not in ("trained", "profiled")]
    if others:
        remark = f"not measured on weights that were trained here: {few(others, 3)}"
        return Judgement(status=NOT_COMPARABLE, remark=remark)
    shared = _first_alike(reported, _same_measurement)
    if shared and not isinstance(spec.predicate, Equal):
        return Judgement(status=NOT_COMPARABLE, remark=f"one run here: {' and '.join(shared)}")
    return _judge(claim, spec.predicate, reported, ours)


def _judge(claim: Claim, predicate: Predicate, cells: list[ReportedCell], ours: _Ours) -> Judgement:
    measured = {cell.cell: _measured(cell, ours) for cell in cells}
    means = {name: one.mean for name, one in measured.items()}
    confidence = ours.rules.file.confidence.value
    tolerances = {one.rule.margin for one in measured.values() if one.rule is not None}
    condition = predicate.condition(claim.published, min(tolerances, default=None))
    estimate, error = estimator(measured, ours.rules.file.same_weights.value), 1 - confidence
    low = _rounded(lower_bound(condition, estimate, error))
    high = _rounded(upper_bound(condition, estimate, error))
    remark = None
    if shared := _first_alike(cells, _same_measurement):
        remark = f"by construction, one run here: {' and '.join(shared)}"
    elif alike := _first_alike(cells, _same_weights):
        remark = (
            f"the runs of {' and '.join(alike)} ended with the same weights: what tells them "
            "apart has no effect at this scale"
        )
    elif all(one.counted for one in measured.values()):
        remark = "counted, not trained: nothing scatters"
    elif math.isinf(low) or math.isinf(high):
        remark = "one seed, and how far seeds scatter at this preset is not known"
    return Judgement(
        status=status_of(predicate, low, high),
        margin=_rounded(margin_of(condition, means)),
        interval=(_finite(low), _finite(high)),
        confidence=confidence,
        seeds=max(len(one.values) for one in measured.values()),
        remark=remark,
    )


def is_shown(predicate: Predicate, low: Any) -> Any:
    """The margin's lower bound (number or array) says that the claim holds; a tie is no win, but
    within a tolerance."""
    return (low > 0) | ((low == 0) & (not predicate.strict))


def is_refuted(predicate: Predicate, high: Any) -> Any:
    """The upper bound says that it does not."""
    return (high < 0) | ((high == 0) & predicate.strict)


def status_of(predicate: Predicate, low: float, high: float) -> str:
    """By the bounds of the margin as they are printed."""
    if is_shown(predicate, low):
        return HOLDS
    return FAILS if is_refuted(predicate, high) else INCONCLUSIVE


def _measured(cell: ReportedCell, ours: _Ours) -> CellNumbers:
    assert cell.ours is not None  # such claims are pending
    if cell.source == "profiled":
        return CellNumbers((cell.ours,), cell.ours, (), cell.cell, counted=True)
    rule = None
    if ours.at_published_scale([cell.cell]):
        rule = ours.rules.of(str(cell.dataset), cell.metric)
    return CellNumbers(
        tuple(run.value for run in cell.runs),
        cell.ours,
        tuple(run.weights_sha256 for run in cell.runs),
        f"{[run.evaluation for run in cell.runs]} {cell.metric}",
        rule=rule,
    )


def _rounded(value: Any) -> float:
    return round(float(value), 3) + 0.0  # no -0.0


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value


def _same_measurement(cell: ReportedCell) -> object:
    """A key that is equal for cells that are the same number of one run under several names."""
    return [(run.run, run.evaluation) for run in cell.runs] or cell.profile or cell.speed


def _same_weights(cell: ReportedCell) -> object:
    """A key that is equal for runs that ended with the same weights, under the same evaluation."""
    return [(run.weights_sha256, run.evaluation) for run in cell.runs]


def _first_alike(cells: list[ReportedCell], key: Callable[[ReportedCell], object]) -> list[str]:
    """The first cells of one metric that share a key; empty if none do."""
    groups: dict[str, list[str]] = {}
    for cell in cells:
        if shared := key(cell):
            groups.setdefault(f"{shared} {cell.metric}", []).append(cell.cell)
    return next((names for names in groups.values() if len(names) > 1), [])
