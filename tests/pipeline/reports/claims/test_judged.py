"""Claims on reports made up here: what is said of ours, how surely, and what is never said."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ResultError
from pipeline.reports.build import build_report
from pipeline.reports.claims.file import Claim, ClaimSpec, load_claims
from pipeline.reports.claims.judged import evaluate_claims
from pipeline.reports.model.base import json_of
from pipeline.reports.verdict import judge_trained, load_rules
from pipeline.spec.params import Params
from tests.pipeline.reports.made import DATASET, a_cell, a_report, a_run, key_of

ROOT = Path(__file__).parents[4]
STATUS_OF_VERDICT = {
    "reproduced": "holds",
    "not reproduced": "does not hold",
    "inconclusive": "inconclusive",
}


@pytest.fixture(scope="module")
def claims():
    params = Params(ROOT / "params")
    return load_claims(
        ROOT / "params", {f"table{n}": params.table(f"table{n}") for n in range(1, 10)}
    )


@pytest.fixture
def by_name(claims):
    return {claim.spec.id: claim for claim in claims}


@pytest.fixture(scope="module")
def our_rules():
    return load_rules(ROOT / "params")


def cell(name, values, **changes):
    """A trained cell; `values` are one number a seed, or None while it is pending."""
    values = values if isinstance(values, list) or values is None else [values]
    runs = [
        a_run(f"{name} {seed}", f"weights of {name} {seed}", seed=seed, value=value)
        for seed, value in enumerate(values or [])
    ]
    ours = None if values is None else round(sum(values) / len(values), 2)
    source = "pending" if values is None else "trained"
    return a_cell(name, **({"ours": ours, "source": source, "runs": runs} | changes))


def report(cells, judged=False, preset="toy", stand_in=False):
    """A report of one table with these cells, or names of cells -> values."""
    if isinstance(cells, dict):
        cells = [cell(name, values) for name, values in cells.items()]
    shown = {"name": preset, "title": "toy scale", "judged": judged, "shows": "Nothing."}
    return a_report(cells, preset=shown, datasets=[DATASET | {"stand_in": stand_in}])


@pytest.fixture
def ours_of(our_rules):
    def judged(claim, cells, **changes):
        (result,) = evaluate_claims((claim,), {"all": report(cells, **changes)}, our_rules).root
        return result.ours

    return judged


def made(predicate, **published):
    """A claim over cells `t/<name>`, without a file."""
    values = {f"t/{name}": (value,) for name, value in published.items()}
    where = {"tables": ["table1"]}
    spec = {"id": "made", "says": "s", "where": where, "predicate": predicate}
    return Claim(ClaimSpec.model_validate(spec), values)


ABOVE = {"kind": "greater", "left": ["t/a"], "right": ["t/b"]}


# ------------------------------------------------------------------------- at the published scale


@pytest.mark.parametrize(
    ("lead", "status"),
    [(0.75, "inconclusive"), (0.8, "holds"), (-0.75, "inconclusive"), (-0.8, "does not hold")],
)
def test_one_seed_decides_a_lead_of_more_than_its_noise(ours_of, lead, status):
    """t(0.95, 8 df) = 1.860 times 0.3 * sqrt(2) = 0.789."""
    found = ours_of(made(ABOVE, a=1.0, b=0.0), {"t/a": 70 + lead, "t/b": 70.0}, judged=True)
    assert found.status == status
    assert found.margin == lead
    assert found.interval == pytest.approx([lead - 0.789, lead + 0.789], abs=0.001)
    assert (found.confidence, found.seeds) == (0.95, 1)


def test_more_seeds_narrow_the_interval_by_their_number_and_their_own_spread(ours_of):
    claim = made(ABOVE, a=1.0, b=0.0)
    steady = {"t/a": [70.4, 70.4, 70.4], "t/b": [70.0, 70.0, 70.0]}
    restless = {"t/a": [69.0, 70.4, 71.8], "t/b": [71.4, 70.0, 68.6]}
    narrow, wide = (ours_of(claim, cells, judged=True) for cells in (steady, restless))
    assert narrow.status == "holds"
    assert (wide.status, wide.margin) == ("inconclusive", narrow.margin)


def test_what_varies_together_over_the_seeds_cancels(ours_of):
    """Both runs of a seed are good or bad by the same amount: the lead is always 0.5."""
    cells = {"t/a": [70.5, 72.5, 68.5], "t/b": [70.0, 72.0, 68.0]}
    assert ours_of(made(ABOVE, a=1.0, b=0.0), cells, judged=True).status == "holds"


def test_two_protocols_on_the_same_weights_need_a_smaller_lead(ours_of):
    """Correlated by 0.8: 1.860 * 0.3 * sqrt(0.4) = 0.353."""
    cells = [
        cell("t/a", 70.5, runs=[a_run("r", "w", evaluation="flip", value=70.5)]),
        cell("t/b", 70.0, runs=[a_run("r", "w", evaluation="plain", value=70.0)]),
    ]
    found = ours_of(made(ABOVE, a=1.0, b=0.0), cells, judged=True)
    assert found.status == "holds"
    assert found.interval == pytest.approx([0.147, 0.853], abs=0.001)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("off", [0.0, 0.2, 0.22, 0.36, 0.38, 1.0, 1.62, 1.64, 1.7, 1.8, -1.8])
def test_a_claim_about_a_figure_is_the_cells_verdict(by_name, our_rules, ours_of, off, seeds):
    values = [82.82 + off] * seeds if seeds == 1 else [82.52 + off, 82.82 + off, 83.12 + off]
    verdict = judge_trained(values, 82.82, our_rules.of("voc2012aug", "miou"))
    found = ours_of(by_name["final-result"], {"table6/ds-flip-ms-ft": values}, judged=True)
    assert found.status == STATUS_OF_VERDICT[verdict.status]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("final-result", {"table6/ds-flip-ms-ft": 82.8}),
        ("without-dcms-r50", {"table5/dmnet-r50": 78.2, "table5/fcn-r50": 69.8}),
        ("ade-same-backbone", {"table9/dmnet": 47.0}),
    ],
)
def test_figures_and_quoted_numbers_need_the_published_scale(by_name, ours_of, name, ours):
    claim = by_name[name]
    for changes in ({}, {"judged": True, "stand_in": True}):
        found = ours_of(claim, ours, **changes)
        assert (found.status, found.interval) == ("not comparable", None)
    assert ours_of(claim, ours, judged=True).status == "holds"


def test_the_test_servers_numbers_are_never_compared_with_ours(by_name, ours_of):
    found = ours_of(by_name["voc-test-record"], {"table7/miou": 99.0}, judged=True)
    assert found.status == "not comparable"
    assert "test server" in found.remark


# ------------------------------------------------------------------------------ at another scale


def test_one_seed_without_a_known_spread_decides_nothing_and_keeps_its_margin(by_name, ours_of):
    stages = {"table4/stage5": 39.0, "table4/stage4": 29.0, "table4/stage3": 28.5}
    found = ours_of(by_name["higher-stages-better"], stages | {"table4/stage2": 28.0})
    assert found.status == "inconclusive"
    assert (found.margin, found.interval) == (0.5, (None, None))
    assert found.remark.startswith("one seed, and how far seeds scatter")


@pytest.mark.parametrize(
    ("b", "status"),
    [
        ([28.0, 28.1, 27.9], "holds"),
        ([30.0, 28.9, 28.7], "inconclusive"),
        ([31.0, 31.1, 31.2], "does not hold"),
    ],
)
def test_several_seeds_decide_by_their_own_spread(ours_of, b, status):
    cells = {"t/a": [30.0, 30.1, 29.9], "t/b": b}
    assert ours_of(made(ABOVE, a=1.0, b=0.0), cells).status == status


def test_counts_do_not_scatter(by_name, ours_of):
    counts = {
        "table3/inception-flops": 104.0,
        "table3/aspp-flops": 56.0,
        "table3/dmnet-flops": 20.25,
    }
    cells = [
        cell(name, value, source="profiled", profile=key_of(name), metric="macs", runs=[])
        for name, value in counts.items()
    ]
    found = ours_of(by_name["fewest-flops"], cells)
    assert (found.status, found.interval) == ("holds", (35.75, 35.75))


# ------------------------------------------------------------------------------ what is no number


def test_one_pending_cell_leaves_the_claim_pending(by_name, ours_of):
    found = ours_of(by_name["flip-improves"], {"table6/ds": 30.0, "table6/ds-flip": None})
    assert (found.status, found.margin) == ("pending", None)
    assert found.remark == "no number yet: table6/ds-flip"


def test_a_class_absent_from_the_data_is_named(by_name, ours_of):
    cells = [cell(name, None, source="absent") for name in ("table6/ds", "table6/ds-flip")]
    found = ours_of(by_name["flip-improves"], cells)
    assert found.status == "pending"
    assert "does not occur in the data: table6/ds-flip, table6/ds" in found.remark


def test_one_run_under_two_names_is_equal_by_construction(by_name, ours_of):
    runs = [a_run("a", "w", value=30.0)]
    cells = [cell(name, 30.0, runs=runs) for name in ("table5/dmnet-r101", "table6/plain")]
    found = ours_of(by_name["same-setting-r101"], cells)
    assert found.status == "holds"
    assert found.remark.startswith("by construction, one run here: table5/dmnet-r101 and")


def test_an_ordering_within_one_run_is_not_comparable(ours_of):
    runs = [a_run("a", "w", value=30.0)]
    cells = [cell(name, 30.0, runs=runs) for name in ("t/a", "t/b")]
    found = ours_of(made(ABOVE, a=2.0, b=1.0), cells)
    assert (found.status, found.remark) == ("not comparable", "one run here: t/a and t/b")


def test_numbers_as_large_as_a_report_may_hold_are_judged(ours_of):
    """They may come from a colleague's file."""
    cells = {"t/a": [9e14, -9e14], "t/b": [-9e14, 9e14]}
    assert ours_of(made(ABOVE, a=1.0, b=0.0), cells).status == "inconclusive"


@pytest.mark.parametrize("judged", [False, True])
def test_different_runs_with_the_same_weights_are_one_number_for_sure(ours_of, judged):
    cells = [cell(f"t/{name}", 30.0, runs=[a_run(name, "w", value=30.0)]) for name in "ab"]
    found = ours_of(made(ABOVE, a=2.0, b=1.0), cells, judged=judged)
    assert (found.status, found.interval) == ("does not hold", (0.0, 0.0))
    assert "ended with the same weights" in found.remark


def test_numbers_of_released_weights_say_nothing_of_a_recipes_mean(ours_of):
    cells = [cell("t/a", 30.0), cell("t/b", 29.0, source="released")]
    found = ours_of(made(ABOVE, a=2.0, b=1.0), cells, judged=True)
    assert found.status == "not comparable"
    assert found.remark == "not measured on weights that were trained here: t/b"


@pytest.mark.parametrize("other", [{"preset": "full"}, {"cells": {"table6/plain": [1.0, 2.0]}}])
def test_reports_of_different_scales_are_never_mixed(claims, our_rules, other):
    second = report(other.pop("cells", {"table6/plain": 1.0}), **other)
    with pytest.raises(ResultError, match="differ in scale"):
        evaluate_claims(claims, {"a": report({"table6/ds": 1.0}), "b": second}, our_rules)


def test_equal_input_gives_equal_bytes(claims, our_rules):
    reports = {"a": report({"table6/ds": 30.0, "table6/ds-flip": 31.0}, judged=True)}
    first, second = (evaluate_claims(claims, reports, our_rules) for _ in range(2))
    assert json_of(first) == json_of(second)


def test_a_report_of_the_pipeline_is_understood(folder, build, finish, tmp_path, rules):
    (folder / "claims.yaml").write_text(
        "claims:\n  - id: wide-wins\n    says: Wide wins\n    where: {tables: [toy]}\n"
        "    predicate: {kind: greater, left: [toy/wide], right: [toy/quick]}\n"
    )
    experiment = build("full")
    wide, _, quick = experiment.cells
    finish(wide.evaluations[0], 0.7125)
    finish(quick.evaluations[0], 0.605)
    built = build_report(experiment, "toy", tmp_path, rules)
    (result,) = evaluate_claims(load_claims(folder, experiment.tables), {"toy": built}, rules).root
    assert (result.ours.status, result.ours.margin) == ("holds", 10.75)
    assert result.cells[0].model_dump() == {
        "cell": "toy/wide",
        "published": 70.0,
        "ours": 71.25,
        "source": "trained",
    }
