"""How often the verdict's rule is wrong, on synthetic cells whose true difference is known.

A synthetic cell is drawn as the rule imagines a real one: one published training and n of ours,
all with the same normal seed noise, printed as tables print them (published to one place, the
coarsest in use, ours to two). The rule then judges it without knowing the true difference and
without knowing the true spread, which may be half or twice what the prior says. A published number
may also be the best of several trainings, as some authors report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from pipeline.reports.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    REPRODUCED,
    Rules,
    Threshold,
    interval,
    is_beyond,
    is_within,
    pooled_sd,
)

DIFFERENCES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # true ones, in margins
BEST_OF = 3  # trainings, of which the best is published
DIFFERENCES_BEST = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)  # ours - published; no more symmetric
SEEDS = (1, 3, 5)
SPREADS = (0.5, 1.0, 2.0)  # true ones, in prior_sd
CELLS = 40_000  # per combination: a rate of 5 % is then known to 0.1 points (standard error)
GENERATOR_SEED = 2019


@dataclass(frozen=True)
class VerdictRates:
    """Shares of the cells, by verdict, at one true difference, spread and number of seeds."""

    spread: float  # in prior_sd
    seeds: int
    difference: float  # in margins
    reproduced: float
    not_reproduced: float

    @property
    def inconclusive(self) -> float:
        return 1 - self.reproduced - self.not_reproduced

    @property
    def false_reproduced(self) -> float:
        return self.reproduced if abs(self.difference) >= 1 else 0.0

    @property
    def false_not_reproduced(self) -> float:
        return self.not_reproduced if abs(self.difference) <= 1 else 0.0


def measure(rule: Threshold, cells: int = CELLS) -> list[VerdictRates]:
    """The rates at every combination of SPREADS, SEEDS and DIFFERENCES; the same at every call."""
    import numpy as np

    generator = np.random.default_rng(GENERATOR_SEED)
    return [
        _rates(rule, spread, seeds, difference, cells, generator)
        for spread in SPREADS
        for seeds in SEEDS
        for difference in DIFFERENCES
    ]


def measure_best(rule: Threshold, cells: int = CELLS) -> list[VerdictRates]:
    """The same with the prior's spread, where the best of BEST_OF trainings was published."""
    import numpy as np

    generator = np.random.default_rng(GENERATOR_SEED)
    return [
        _rates(rule, 1.0, seeds, difference, cells, generator, BEST_OF)
        for seeds in SEEDS
        for difference in DIFFERENCES_BEST
    ]


def _rates(
    rule: Threshold,
    spread: float,
    seeds: int,
    difference: float,
    cells: int,
    generator: Any,
    best_of: int = 1,
) -> VerdictRates:
    sd = spread * rule.prior_sd
    expected = generator.uniform(60, 80, cells)  # of the published recipe; any value would do
    published = generator.normal(expected, sd, (best_of, cells)).max(axis=0).round(1)
    ours = generator.normal(expected + difference * rule.margin, sd, (seeds, cells)).round(2)
    own_sd = ours.std(axis=0, ddof=1) if seeds > 1 else 0.0 * published
    printed = (ours.mean(axis=0).round(2) - published).round(2)
    low, high = interval(printed, pooled_sd(own_sd, seeds, rule), seeds, rule)
    return VerdictRates(
        spread,
        seeds,
        difference,
        float(is_within(low, high, rule.margin).mean()),
        float(is_beyond(low, high, rule.margin).mean()),
    )


# ------------------------------------------------------------------------------------- as Markdown


def render_rates(rules: Rules, cells: int = CELLS) -> str:
    """Thresholds of every rule, then the measured rates, rules of one shape together."""
    parts = ["### What decides", _thresholds(rules)]
    for shape, members in _shapes(rules).items():
        # The narrowest rule of a shape: there the rounding of the numbers weighs most.
        narrowest = min((rule for _, rule in members), key=lambda rule: rule.margin)
        rates = measure(narrowest, cells)
        names = ", ".join(f"`{name}`" for name, _ in members)
        parts += [
            f"### Error rates where the margin is {shape[0]:.2f} times `prior_sd` and `prior_df` "
            f"is {shape[1]:g}",
            f"{cells:,} synthetic cells per entry. For {names}.",
            "Worst false rates, over all true differences:",
            _worst(rates),
            "All of them, in % of the cells; **bold** where the verdict is false:",
            _all(rates),
            f"All of them where the published number is the best of {BEST_OF} trainings and the "
            "spread is the prior's; Δ of the recipes' true means, ours minus published:",
            _all(measure_best(narrowest, cells), DIFFERENCES_BEST),
        ]
    return "\n\n".join(parts)


def _named_rules(rules: Rules) -> list[tuple[str, Threshold]]:
    return [
        (f"{dataset}.{kind}", rules.of(dataset, "miou" if kind == "miou" else "iou.any"))
        for dataset, kinds in rules.file.rules.items()
        for kind in kinds
    ]


def _shapes(rules: Rules) -> dict[tuple[float, float], list[tuple[str, Threshold]]]:
    """Rules that differ only in their unit have the same error rates."""
    shapes: dict[tuple[float, float], list[tuple[str, Threshold]]] = {}
    for name, rule in _named_rules(rules):
        shape = (round(rule.margin / rule.prior_sd, 3), rule.prior_df)
        shapes.setdefault(shape, []).append((name, rule))
    return shapes


def _thresholds(rules: Rules) -> str:
    """|Δ| below and above which a cell is decided, where the seeds' own spread is the prior's."""
    rows = []
    for name, rule in _named_rules(rules):
        row = [f"`{name}`", f"{rule.margin:.2f}", f"{rule.prior_sd:.2f}"]
        for seeds in SEEDS:
            _, half = interval(0.0, pooled_sd(rule.prior_sd, seeds, rule), seeds, rule)
            below, above = rule.margin - half, rule.margin + half
            row.append(f"{f'< {below:.2f}' if below > 0 else 'never'}, > {above:.2f}")
        rows.append(row)
    headers = ["Rule", "Margin", "Prior sd", *(_count(seeds) for seeds in SEEDS)]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def _count(seeds: int) -> str:
    return f"{seeds} seed{'s' if seeds > 1 else ''}"


def _worst(rates: list[VerdictRates]) -> str:
    rows = []
    for spread in SPREADS:
        for seeds in SEEDS:
            group = [r for r in rates if (r.spread, r.seeds) == (spread, seeds)]
            false_yes = max(r.false_reproduced for r in group)
            false_no = max(r.false_not_reproduced for r in group)
            row = [f"{spread:g} x prior", str(seeds), f"{percent(false_yes)} %"]
            rows.append([*row, f"{percent(false_no)} %"])
    headers = ["True spread", "Seeds", f"False `{REPRODUCED}`", f"False `{NOT_REPRODUCED}`"]
    align = ("left", "right", "right", "right")
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _all(rates: list[VerdictRates], differences: tuple[float, ...] = DIFFERENCES) -> str:
    rows = []
    for spread in dict.fromkeys(r.spread for r in rates):
        for seeds in SEEDS:
            group = [r for r in rates if (r.spread, r.seeds) == (spread, seeds)]
            start = [f"{spread:g} x prior", str(seeds)]
            yes = [marked(r.reproduced, abs(r.difference) >= 1) for r in group]
            no = [marked(r.not_reproduced, abs(r.difference) <= 1) for r in group]
            rows.append([*start, REPRODUCED, *yes])
            rows.append([*start, NOT_REPRODUCED, *no])
            rows.append([*start, INCONCLUSIVE, *(percent(r.inconclusive) for r in group)])
    headers = ["True spread", "Seeds", "Verdict"]
    headers += [f"true Δ = {d:g} margins" for d in differences]
    align = ("left", "right", "left", *("right" for _ in differences))
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def marked(share: float, is_false: bool) -> str:
    """In percent, bold where it is an error."""
    return f"**{percent(share)}**" if is_false else percent(share)


def percent(share: float) -> str:
    """To one place, without the sign."""
    return f"{100 * share:.1f}"
