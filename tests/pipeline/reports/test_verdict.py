"""The verdict on one cell: what is judged at all, and when a difference counts as equal."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dmnet.errors import DMNetError
from pipeline.errors import SpecError
from pipeline.experiments import build_experiment
from pipeline.reports.model.base import json_of
from pipeline.reports.model.report import Verdict
from pipeline.reports.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    REPRODUCED,
    Threshold,
    judge,
    judge_counted,
    judge_trained,
    load_rules,
)
from pipeline.results.cells import CellResult, read_cell
from pipeline.results.schemas import Counted
from pipeline.spec.params import Params
from pipeline.workflow import Study

ROOT = Path(__file__).parents[3]
RULE = Threshold(margin=1.0, prior_sd=0.3, prior_df=8, confidence=0.95)

# ---------------------------------------------------------------------------------- the statistics


@pytest.mark.parametrize(
    ("ours", "status"),
    [
        ([70.2], REPRODUCED),
        ([69.8], REPRODUCED),
        ([70.5], INCONCLUSIVE),
        ([71.5], INCONCLUSIVE),
        ([71.8], NOT_REPRODUCED),
        ([68.2], NOT_REPRODUCED),
        ([70.2, 70.35, 70.5], REPRODUCED),  # 0.35 off: too far for one seed, near enough for three
        ([68.0, 70.0, 72.0], INCONCLUSIVE),  # equal on average, but the seeds scatter widely
    ],
)
def test_the_verdict_against_a_published_70(ours, status):
    assert judge_trained(ours, 70.0, RULE).status == status


def test_better_than_published_is_not_reproduced_and_says_better():
    better, worse = judge_trained([75.0], 70.0, RULE), judge_trained([65.0], 70.0, RULE)
    assert (better.status, worse.status) == (NOT_REPRODUCED, NOT_REPRODUCED)
    assert better.remark == "ours is better by more than the margin"
    assert worse.remark == "ours is worse by more than the margin"


def test_without_a_prior_it_is_the_librarys_t_interval_with_the_published_runs_noise_added():
    ours = [70.1, 70.4, 70.9, 70.2]
    verdict = judge_trained(ours, 70.0, Threshold(1.0, 0.3, 1e-9, 0.95))
    low, high = stats.ttest_1samp(ours, 70.0).confidence_interval(0.9)
    half = (high - low) / 2 * (len(ours) + 1) ** 0.5  # s/sqrt(n) becomes s*sqrt(1/n + 1)
    assert verdict.interval == pytest.approx((0.4 - half, 0.4 + half), abs=2e-3)
    assert verdict.spread == pytest.approx(statistics.stdev(ours), abs=1e-3)


def test_one_seed_rests_on_the_prior_alone_and_more_seeds_also_on_their_own_spread():
    one, three = judge_trained([70.0], 70.0, RULE), judge_trained([69.0, 70.0, 71.0], 70.0, RULE)
    assert (one.spread, one.degrees_of_freedom) == (0.3, 8)
    assert three.spread == pytest.approx(((8 * 0.09 + 2 * 1.0) / 10) ** 0.5, abs=1e-3)
    assert three.degrees_of_freedom == 10


def test_the_difference_is_the_one_that_the_table_prints():
    assert judge_trained([70.11, 70.12], 70.0, RULE).difference in (0.11, 0.12)
    assert judge_trained([80.87], 80.82, RULE).difference == 0.05


def test_a_verdict_is_json():
    verdict = judge_trained([70.0], 70.0, RULE)
    content = json_of(verdict)
    assert '"status": "reproduced"' in content
    assert Verdict.model_validate(json.loads(content)) == verdict


hundredths = st.integers(0, 500).map(lambda number: number / 100)
seed_counts = st.integers(1, 7)
ORDER = (REPRODUCED, INCONCLUSIVE, NOT_REPRODUCED)


def at(difference: float, scatter: float, seeds: int) -> Verdict:
    """The verdict where the seeds lie evenly around published + difference."""
    middle = (seeds - 1) / 2
    return judge_trained(
        [50 + difference + scatter * (seed - middle) for seed in range(seeds)], 50.0, RULE
    )


@given(hundredths, hundredths, seed_counts)
def test_better_and_worse_are_treated_alike(difference, scatter, seeds):
    above, below = at(difference, scatter, seeds), at(-difference, scatter, seeds)
    assert above.status == below.status
    assert above.difference == -below.difference


@given(hundredths, hundredths, hundredths, seed_counts)
def test_a_larger_difference_is_never_closer_to_reproduced(first, second, scatter, seeds):
    near, far = sorted((first, second))
    ranks = [ORDER.index(at(value, scatter, seeds).status) for value in (near, far)]
    assert ranks == sorted(ranks)


@given(hundredths, hundredths, seed_counts)
def test_a_verdict_never_contradicts_the_number_that_it_is_about(difference, scatter, seeds):
    verdict = at(difference, scatter, seeds)
    if difference > RULE.margin:
        assert verdict.status != REPRODUCED
    if difference < RULE.margin:
        assert verdict.status != NOT_REPRODUCED


# ------------------------------------------------------------------------------------ counted cells


@pytest.mark.parametrize(
    ("ours", "published", "decimals", "status"),
    [
        (20.25, 20.0, 0, REPRODUCED),
        (20.51, 20.0, 0, NOT_REPRODUCED),
        (19.49, 20.0, 0, NOT_REPRODUCED),
        (8.91, 8.9, 1, REPRODUCED),
        (8.96, 8.9, 1, NOT_REPRODUCED),
    ],
)
def test_a_count_is_reproduced_when_it_rounds_to_what_is_printed(ours, published, decimals, status):
    assert judge_counted(ours, published, decimals).status == status


def test_counts_are_judged_at_every_preset():
    experiment = build_experiment("mini", tables=["table3"], params=Params(ROOT / "params"))
    cell = next(cell for cell in experiment.cells if cell.name == "dmnet-flops")
    count = {cell.measurement.measure: round(20.25 * cell.measurement.per)}
    counted = Counted.model_validate({"profile": cell.job.key} | count)
    verdict = judge(CellResult(cell, measurement=counted), experiment, None)
    assert verdict is not None
    assert (verdict.status, verdict.difference, verdict.interval) == (REPRODUCED, 0.25, None)


# ---------------------------------------------------------------------------- what is judged at all


@pytest.fixture
def verdict_of(build, finish, tmp_path):
    """The verdict on `toy/wide` (published: 70.0) with this mIoU, after edits of params/."""

    def verdict(miou, preset="full", rules=None, **metrics):
        experiment = build(preset)
        wide = experiment.cells[0]
        finish(wide.evaluations[0], miou, **metrics)
        return judge(read_cell(wide, experiment, tmp_path), experiment, rules)

    return verdict


def test_a_stand_in_is_not_comparable_even_at_a_judged_preset(verdict_of, edit):
    edit("presets/full.yaml", "judged: true", "judged: true\ndatasets: {photos: drawings}")
    verdict = verdict_of(0.7)
    assert (verdict.status, verdict.interval) == ("not comparable", None)
    assert verdict.remark == "measured on drawings, a stand-in for photos"


def test_a_class_that_is_absent_is_not_comparable(verdict_of, edit, rules):
    edit("tables/toy.yaml", "cell: wide, model: net,", "cell: wide, model: net, metric: iou.thing,")
    verdict = verdict_of(0.7, rules=rules, per_class_iou=[0.7, None])
    assert (verdict.status, verdict.remark) == (
        "not comparable",
        "the class does not occur in the data",
    )


def test_a_table_or_a_cell_can_say_why_it_is_not_comparable_and_the_cell_wins(verdict_of, edit):
    edit("tables/toy.yaml", "inference: plain}", "inference: plain, not_comparable: other labels}")
    assert verdict_of(0.7).remark == "other labels"
    edit("tables/toy.yaml", "cell: wide,", "cell: wide, not_comparable: secret labels,")
    assert verdict_of(0.7).remark == "secret labels"


def test_saying_so_changes_no_run(build, edit):
    before = list(build().runs)
    edit("tables/toy.yaml", "cell: wide,", "cell: wide, not_comparable: secret labels,")
    assert list(build().runs) == before


def test_a_pending_cell_has_no_verdict(build, rules, tmp_path):
    experiment = build("full")
    assert judge(read_cell(experiment.cells[0], experiment, tmp_path), experiment, rules) is None


# ----------------------------------------------------------------------------- params/verdicts.yaml


def test_every_published_cell_of_the_paper_has_a_rule():
    params = Params(ROOT / "params")
    load_rules(ROOT / "params").check(build_experiment("paper", params=params))


def test_table_7_is_never_compared():
    experiment = build_experiment("paper", tables=["table7"], params=Params(ROOT / "params"))
    spec = experiment.tables["table7"]
    assert spec.defaults.not_comparable is not None
    assert "test server" in spec.defaults.not_comparable


def test_one_seed_can_reproduce_under_every_rule():
    rules = load_rules(ROOT / "params")
    for dataset, kinds in rules.file.rules.items():
        for kind in kinds:
            rule = rules.of(dataset, "miou" if kind == "miou" else "iou.person")
            assert judge_trained([50.0], 50.0, rule).status == REPRODUCED, (dataset, kind)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  photos:", "  photo:", ["`rules.photo`", "unknown dataset", "drawings, photos"]),
        ("  photos:", "  drawings:", ["`rules.photos` is missing"]),
        ("    miou:", "    class_iou:", ["`rules.photos.miou` is missing", "it has class_iou"]),
        ("    miou:", "    aacc:", ["rules.photos.aacc"]),
        ("margin: {value: 1.0", "margin: {value: 0", ["rules.photos.miou.margin.value"]),
        (', assumed: "a choice"', "", ["rules.photos.miou.margin.assumed", "missing"]),
        ("value: 0.95", "value: 95", ["confidence.value"]),
        ("confidence:", "confidense:", ["unknown key `confidense`"]),
    ],
)
def test_a_rule_that_lacks_is_named_with_file_and_key(folder, build, edit, old, new, words):
    edit("verdicts.yaml", old, new)
    with pytest.raises(DMNetError) as caught:
        load_rules(folder).check(build("full"))
    message = str(caught.value)
    assert str(folder / "verdicts.yaml") in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_no_rules_file_is_an_error_that_names_it(folder):
    (folder / "verdicts.yaml").unlink()
    with pytest.raises(SpecError, match=r"verdicts\.yaml"):
        load_rules(folder)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with a copy of the real params/, as the Snakefile sees it."""
    shutil.copytree(ROOT / "params", tmp_path / "checkout" / "params")
    monkeypatch.chdir(tmp_path / "checkout")

    def edit(old, new):
        path = Path("params/verdicts.yaml")
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit


def test_another_rule_makes_the_reports_out_of_date(checkout):
    before = Study({"preset": "paper"}).hashes.report("table2")
    checkout("prior_sd: {value: 0.3,", "prior_sd: {value: 0.4,")
    assert Study({"preset": "paper"}).hashes.report("table2") != before


def test_a_rule_that_lacks_is_told_before_anything_is_trained(checkout):
    checkout(
        "  ade20k:\n    miou:", "  ade20k:\n    class_iou: *rare_class_iou\n  camvid:\n    miou:"
    )
    checkout(
        "      prior_df: *df\n    class_iou: *rare_class_iou\n  cityscapes",
        "      prior_df: *df\n  cityscapes",
    )
    with pytest.raises(Exception, match=r"verdicts\.yaml: key `rules\.ade20k\.miou` is missing"):
        Study({"preset": "paper"})
    Study({"preset": "mini"})  # where nothing is judged nothing lacks
