"""How often a judgement of a claim on ours is wrong, measured, as Markdown.

At the boundary: for every shape of condition that the claims have (bench/claim_shapes.py), with
true means that lie exactly between satisfying it and not. At the published numbers: what becomes of
every claim if they are the recipes' true means (bench/claim_draws.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from tabulate import tabulate

from bench.claim_draws import (
    DRAWS,
    ClaimRates,
    Drawing,
    at_published_numbers,
    holds_at_published_numbers,
)
from bench.claim_shapes import shapes
from bench.verdict_rates import SEEDS, SPREADS, marked, percent
from pipeline.experiments import Experiment
from pipeline.reports.claims.file import Claim
from pipeline.reports.claims.judged import FAILS, HOLDS, INCONCLUSIVE
from pipeline.reports.verdict import Rules, Threshold

MARGINS = (-2.0, 0.0, 2.0)  # true ones, in prior_sd
CORRELATIONS = (0.0, 0.5, 0.8, 0.95)  # true ones, of protocols on the same weights


def render_claim_rates(
    claims: tuple[Claim, ...], experiment: Experiment, rules: Rules, draws: int = DRAWS
) -> str:
    """Both measurements; `experiment` is the paper's tables at a judged preset, with one seed."""
    rule = rules.of("voc2012aug", "miou")
    rates = {
        (shape.title, spread, seeds, margin): shape.rates(
            rule, rules.file.same_weights.value, margin, Drawing(seeds, spread, draws=draws)
        )
        for shape in shapes(rule)
        for spread in SPREADS
        for seeds in SEEDS
        for margin in MARGINS
        if spread == 1 or margin == 0
    }
    return "\n\n".join(
        [
            "### Claims at the boundary",
            f"{draws:,} synthetic sets of trainings per entry, with the values of "
            "`voc2012aug.miou`. In %, where trainings scatter as the prior says; a true margin of "
            "0 counts as false for both. Below and above the boundary the margin is two prior_sd.",
            _boundary(rates, rule),
            "At the boundary where trainings scatter otherwise than the prior says "
            f"(`{HOLDS}` / `{FAILS}`, both false, in %):",
            _other_spreads(rates, rule),
            "Two protocols on the same weights, at the boundary, where they are correlated "
            f"otherwise than the assumed {rules.file.same_weights.value:g} (the same):",
            _other_correlations(rule, rules.file.same_weights.value, draws),
            "Where no prior is known, as at the presets that are not judged (again the same, and "
            "what becomes of a true margin of four prior_sd, at the prior's spread):",
            _without_prior(rule, rules.file.same_weights.value, draws),
            "### Claims at the published numbers",
            "If the recipes' true means were the published numbers, and trainings scattered as the "
            f"prior says: `{HOLDS}` / `{FAILS}` / `{INCONCLUSIVE}` in % of {draws:,} sets of "
            "trainings; **bold** where it would be false. Claims on one run, on counts and those "
            "that are never judged on ours are left out.",
            _at_published(claims, experiment, rules, draws),
        ]
    )


SEEDS_TEXT = tuple(f"{seeds} seed{'s' if seeds > 1 else ''}" for seeds in SEEDS)
Found = Mapping[tuple[str, float, int, float], ClaimRates]


def _boundary(rates: Found, rule: Threshold) -> str:
    below, edge, above = MARGINS
    rows = []
    for shape in shapes(rule):
        for seeds in SEEDS:
            low, at, high = (rates[shape.title, 1.0, seeds, m] for m in (below, edge, above))
            rows.append(
                [
                    shape.title if seeds == SEEDS[0] else "",
                    str(seeds),
                    *(marked(low.holds, True), percent(low.fails)),
                    *(marked(at.holds, True), marked(at.fails, True)),
                    *(percent(high.holds), marked(high.fails, True)),
                ]
            )
    headers = ["Shape", "Seeds"]
    for place in ("below", "at it", "above"):
        headers += [f"{place}: {HOLDS}", f"{place}: {FAILS}"]
    align = ("left", *["right"] * 7)
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _other_spreads(found: Found, rule: Threshold) -> str:
    others = [spread for spread in SPREADS if spread != 1]
    rows = []
    for shape in shapes(rule):
        row = [shape.title]
        for spread in others:
            for seeds in SEEDS:
                rates = found[shape.title, spread, seeds, 0.0]
                row.append(f"{percent(rates.holds)} / {percent(rates.fails)}")
        rows.append(row)
    headers = ["Shape", *(f"{spread:g} x prior, {n}" for spread in others for n in SEEDS_TEXT)]
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _other_correlations(rule: Threshold, correlation: float, draws: int) -> str:
    (shape,) = [shape for shape in shapes(rule) if shape.one_training]
    rows = []
    for true in CORRELATIONS:
        row = [f"{true:g}"]
        for seeds in SEEDS:
            setting = Drawing(seeds, correlation=true, draws=draws)
            rates = shape.rates(rule, correlation, 0.0, setting)
            row.append(f"{percent(rates.holds)} / {percent(rates.fails)}")
        rows.append(row)
    headers = ["True correlation", *SEEDS_TEXT]
    align = ["right"] * len(headers)
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _without_prior(rule: Threshold, correlation: float, draws: int) -> str:
    rows = []
    for shape in shapes(rule):
        if shape.predicate.absolute:  # a figure is compared at judged presets only
            continue
        row = [shape.title]
        for margin in (0.0, 4.0):
            for seeds in SEEDS:
                setting = Drawing(seeds, known=False, draws=draws)
                rates = shape.rates(rule, correlation, margin, setting)
                row.append(f"{percent(rates.holds)} / {percent(rates.fails)}")
        rows.append(row)
    headers = ["Shape", *(f"{where}, {n}" for where in ("at it", "above") for n in SEEDS_TEXT)]
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _at_published(
    claims: tuple[Claim, ...], experiment: Experiment, rules: Rules, draws: int
) -> str:
    rows = []
    for claim in claims:
        settings = [Drawing(seeds, draws=draws) for seeds in SEEDS]
        shares = [at_published_numbers(claim, experiment, rules, one) for one in settings]
        if shares[0] is None:
            continue
        is_true = holds_at_published_numbers(claim, experiment, rules)
        rows.append(
            [
                f"`{claim.spec.id}`",
                "yes" if is_true else "no",
                *(
                    f"{marked(r.holds, not is_true and r.holds > 0)} / "
                    f"{marked(r.fails, is_true and r.fails > 0)} / {percent(r.inconclusive)}"
                    for r in shares
                    if r is not None
                ),
            ]
        )
    headers = ["Claim", "True there", *SEEDS_TEXT]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)
