"""How often a judgement of a claim on ours is wrong, on synthetic trainings whose means are known.

Two questions, both answered by the rule's own code:

- at the boundary: for every shape of condition that the claims have, true means that lie exactly
  between satisfying it and not. One slack at 0 and the others far off is the worst case for
  `holds` of a conjunction, all slacks at 0 that for its `does not hold`; a disjunction the other
  way round;
- at the published numbers: what becomes of every claim if they are the recipes' true means.

Trainings scatter normally, by `prior_sd` or half or twice of it, and are printed to two places.
Where a figure is stated, the training behind it scatters like ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tabulate import tabulate

from pipeline.claims import Claim
from pipeline.claims_judged import FAILS, HOLDS, INCONCLUSIVE, is_refuted, is_shown
from pipeline.claims_spread import Measured, estimator
from pipeline.conditions import Values, lower_bound, margin_of, upper_bound
from pipeline.experiments import Experiment
from pipeline.predicates import (
    Difference,
    Equal,
    Gap,
    Greater,
    Most,
    Order,
    Pairwise,
    Predicate,
    RisesThenDeclines,
    Value,
)
from pipeline.verdict import Rules, Threshold
from pipeline.verdict_rates import SEEDS, SPREADS, marked, percent

MARGINS = (-2.0, 0.0, 2.0)  # true ones, in prior_sd
CORRELATIONS = (0.0, 0.5, 0.8, 0.95)  # true ones, of protocols on the same weights
DRAWS = 5_000  # per combination: a rate of 5 % is then known to 0.3 points (standard error)
GENERATOR_SEED = 2019
FAR = 30.0  # prior_sd: beyond any doubt


@dataclass(frozen=True)
class Source:
    """Where a synthetic cell's numbers come from."""

    mean: float  # the true one, in points
    rule: Threshold
    weights: str  # the training's name: cells that share it differ only in protocol


@dataclass(frozen=True)
class Rates:
    """Shares of the draws by status."""

    holds: float
    fails: float

    @property
    def inconclusive(self) -> float:
        return 1 - self.holds - self.fails


@dataclass(frozen=True)
class Setting:
    """How the synthetic trainings are drawn, and what the rule knows of it."""

    seeds: int
    spread: float = 1.0  # the true one, in prior_sd
    known: bool = True  # the prior
    correlation: float | None = None  # true one of protocols on the same weights; None: as assumed
    draws: int = DRAWS


def draw(
    predicate: Predicate,
    published: Values,
    cells: Mapping[str, Source],
    assumed: float,
    setting: Setting,
) -> Rates:
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
        measured[name] = Measured(values, mean, (cell.weights,), name, rule)
    first = min((cell.rule for cell in cells.values()), key=lambda rule: rule.margin)
    condition, error = predicate.condition(published, first.margin), 1 - first.confidence
    estimate = estimator(measured, assumed)
    low = np.round(lower_bound(condition, estimate, error), 3)
    high = np.round(upper_bound(condition, estimate, error), 3)
    return Rates(float(is_shown(predicate, low).mean()), float(is_refuted(predicate, high).mean()))


# -------------------------------------------------------------------------------- at the boundary


@dataclass(frozen=True)
class Shape:
    """A kind of condition, and true means at which its margin is what is asked for."""

    title: str
    predicate: Predicate
    means: Callable[[float], Mapping[str, float]]  # margin -> cell -> mean, both in prior_sd
    one_training: bool = False  # its cells are protocols on the same weights

    def rates(self, rule: Threshold, assumed: float, margin: float, setting: Setting) -> Rates:
        """At this true margin, in prior_sd."""
        cells = {
            name: Source(rule.prior_sd * mean, rule, "one" if self.one_training else name)
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


# ------------------------------------------------------------------------- at the published numbers


def at_published_numbers(
    claim: Claim, experiment: Experiment, rules: Rules, setting: Setting
) -> Rates | None:
    """None where ours are never judged, nothing scatters, or the claim is about one run."""
    predicate = claim.spec.predicate
    if predicate is None or claim.spec.only_on_paper or isinstance(predicate, Equal):
        return None
    known = {cell.id: cell for cell in experiment.cells}
    sources = {}
    for name in claim.cells:
        cell = known[name]
        if not cell.evaluations:
            return None
        rule = rules.of(str(cell.published_dataset), cell.spec.metric)
        sources[name] = Source(claim.published[name][0], rule, cell.evaluations[0].run_key)
    return draw(predicate, claim.published, sources, rules.correlation, setting)


# ------------------------------------------------------------------------------------ as Markdown


def render_claim_rates(
    claims: tuple[Claim, ...], experiment: Experiment, rules: Rules, draws: int = DRAWS
) -> str:
    """Both measurements; `experiment` is the paper's tables at a judged preset, with one seed."""
    rule = rules.of("voc2012aug", "miou")
    found = {
        (shape.title, spread, seeds, margin): shape.rates(
            rule, rules.correlation, margin, Setting(seeds, spread, draws=draws)
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
            _boundary(found, rule),
            "At the boundary where trainings scatter otherwise than the prior says "
            f"(`{HOLDS}` / `{FAILS}`, both false, in %):",
            _other_spreads(found, rule),
            "Two protocols on the same weights, at the boundary, where they are correlated "
            f"otherwise than the assumed {rules.correlation:g} (the same):",
            _other_correlations(rule, rules.correlation, draws),
            "Where no prior is known, as at the presets that are not judged (again the same, and "
            "what becomes of a true margin of four prior_sd, at the prior's spread):",
            _without_prior(rule, rules.correlation, draws),
            "### Claims at the published numbers",
            "If the recipes' true means were the published numbers, and trainings scattered as the "
            f"prior says: `{HOLDS}` / `{FAILS}` / `{INCONCLUSIVE}` in % of {draws:,} sets of "
            "trainings; **bold** where it would be false. Claims on one run, on counts and those "
            "that are never judged on ours are left out.",
            _at_published(claims, experiment, rules, draws),
        ]
    )


SEEDS_TEXT = tuple(f"{seeds} seed{'s' if seeds > 1 else ''}" for seeds in SEEDS)
Found = Mapping[tuple[str, float, int, float], Rates]


def _boundary(found: Found, rule: Threshold) -> str:
    below, edge, above = MARGINS
    rows = []
    for shape in shapes(rule):
        for seeds in SEEDS:
            low, at, high = (found[shape.title, 1.0, seeds, m] for m in (below, edge, above))
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
            setting = Setting(seeds, correlation=true, draws=draws)
            found = shape.rates(rule, correlation, 0.0, setting)
            row.append(f"{percent(found.holds)} / {percent(found.fails)}")
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
                setting = Setting(seeds, known=False, draws=draws)
                found = shape.rates(rule, correlation, margin, setting)
                row.append(f"{percent(found.holds)} / {percent(found.fails)}")
        rows.append(row)
    headers = ["Shape", *(f"{where}, {n}" for where in ("at it", "above") for n in SEEDS_TEXT)]
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _at_published(
    claims: tuple[Claim, ...], experiment: Experiment, rules: Rules, draws: int
) -> str:
    rows = []
    for claim in claims:
        settings = [Setting(seeds, draws=draws) for seeds in SEEDS]
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
