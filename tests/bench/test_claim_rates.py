"""How often claims on ours are judged falsely, on synthetic trainings of known means."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.claim_draws import Drawing, at_published_numbers, holds_at_published_numbers
from bench.claim_shapes import shapes
from bench.verdict_rates import SEEDS
from pipeline.experiments import build_experiment
from pipeline.reports.claims.file import load_claims
from pipeline.reports.claims.predicates import Predicate
from pipeline.reports.verdict import load_rules
from pipeline.spec.params import Params

ROOT = Path(__file__).parents[2]
PROMISE, DRAWS = 0.05, 3000
PLAIN, PAIRS = "one above one", "8 pairs, all near"
CHANCE = 4 * (PROMISE * (1 - PROMISE) / DRAWS) ** 0.5  # four standard errors: many rates are tested
RULES = load_rules(ROOT / "params")
RULE = RULES.of("voc2012aug", "miou")
SHAPES = {shape.title: shape for shape in shapes(RULE)}


def rates(title, margin, seeds=1, **changes):
    setting = Drawing(seeds, draws=DRAWS, **changes)
    return SHAPES[title].rates(RULE, RULES.file.same_weights.value, margin, setting)


@pytest.fixture(scope="module")
def published():
    experiment = build_experiment("paper", 1, None, Params(ROOT / "params"))
    claims = load_claims(ROOT / "params", experiment.tables)
    return {claim.spec.id: claim for claim in claims}, experiment


def test_every_kind_of_predicate_is_measured_but_equality():
    kinds = {kind.__name__ for kind in Predicate.__origin__.__args__} - {"Equal"}
    assert {type(shape.predicate).__name__ for shape in SHAPES.values()} == kinds


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("title", SHAPES)
def test_at_the_boundary_at_most_five_percent_are_false(title, seeds):
    found = rates(title, 0.0, seeds=seeds)
    assert found.holds <= PROMISE + CHANCE
    assert found.fails <= PROMISE + CHANCE


@pytest.mark.parametrize("title", [t for t, s in SHAPES.items() if not s.predicate.absolute])
def test_the_same_where_no_prior_is_known_whatever_the_spread(title):
    found = rates(title, 0.0, spread=3.0, seeds=3, known=False)
    assert found.holds <= PROMISE + CHANCE
    assert found.fails <= PROMISE + CHANCE


@pytest.mark.parametrize("title", SHAPES)
def test_the_rule_is_not_empty_it_decides_clear_cases(title):
    """A margin of eight prior_sd on either side; a tolerance has room for three on the inside."""
    inside = 3.0 if SHAPES[title].predicate.absolute else 8.0
    assert rates(title, inside, seeds=5).holds > (0.2 if inside < 8 else 0.9)
    assert rates(title, -8.0, seeds=5).fails > 0.9


def test_where_the_spread_is_twice_the_prior_the_promise_is_broken():
    """Not a wish: the page says so, and this keeps it from saying less than is true."""
    assert rates("one above one", 0.0, spread=2.0).holds > 3 * PROMISE
    assert rates("8 pairs, all near", 0.0, spread=2.0).fails > 6 * PROMISE


def test_a_perfect_reproduction_is_hardly_ever_denied(published):
    """The published numbers as true means: often inconclusive, but `does not hold` in few cases."""
    claims, experiment = published
    measured = 0
    for claim in claims.values():
        found = at_published_numbers(claim, experiment, RULES, Drawing(1, draws=500))
        if found is None:
            continue
        measured += 1
        if holds_at_published_numbers(claim, experiment, RULES):
            assert found.fails <= 0.03, claim.spec.id
        else:
            assert found.holds <= 0.03, claim.spec.id
    assert measured >= 40


def test_flip_and_scales_share_their_weights_fine_tuning_does_not(published):
    claims, experiment = published
    flip = at_published_numbers(claims["flip-improves"], experiment, RULES, Drawing(1))
    tuned = at_published_numbers(claims["fine-tuning-improves"], experiment, RULES, Drawing(1))
    assert flip.holds > tuned.holds, "0.42 of one training against 0.67 of two"


@pytest.mark.parametrize(
    ("sentence", "title", "at", "kind", "low", "high"),
    [
        ("a plain comparison is false in 18 %", PLAIN, {"spread": 2}, "holds", 0.165, 0.195),
        ("`does not hold` in 38 %", PAIRS, {"spread": 2}, "fails", 0.355, 0.405),
        ("bring this to 12 %", PLAIN, {"spread": 2, "seeds": 5}, "fails", 0.105, 0.135),
        ("12 % and 23 %", PAIRS, {"spread": 2, "seeds": 5}, "fails", 0.21, 0.25),
        (
            "be false in 12 %",
            f"{PLAIN}, the same weights",
            {"correlation": 0.5},
            "fails",
            0.1,
            0.14,
        ),
    ],
)
def test_the_pages_sentences_are_the_measured_ones(sentence, title, at, kind, low, high):
    page = (ROOT / "docs" / "verdicts.md").read_text()
    assert sentence in " ".join(page.split())
    assert low <= getattr(rates(title, 0.0, **at), kind) <= high
