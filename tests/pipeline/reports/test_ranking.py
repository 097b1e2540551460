"""How far two orders agree: Spearman's rank correlation over the measurements of a table."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.reports.ranking import describe_agreement, rank_agreement, rank_agreements
from tests.pipeline.reports.made import a_cell, a_run


def cell(published, ours, run="a", metric="miou", source="trained", weights=None, dataset="voc"):
    runs = [a_run(run, weights or f"weights of {run}", value=ours)]
    numbers = {"published": published, "ours": ours}
    return a_cell(f"t/{run}", **numbers, source=source, metric=metric, dataset=dataset, runs=runs)


def cells(pairs):
    return [cell(published, ours, str(i)) for i, (published, ours) in enumerate(pairs)]


def test_the_same_order_is_one_and_the_opposite_minus_one():
    pairs = [(70.0 + i, 20.0 + i**2) for i in range(6)]
    assert rank_agreement(cells(pairs)).spearman == 1.0
    assert rank_agreement(cells([(p, -o) for p, o in pairs])).spearman == -1.0


def test_a_known_value():
    """Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 * 4 / (5 * 24) = 0.8."""
    pairs = list(zip((1, 2, 3, 4, 5), (2, 1, 4, 3, 5), strict=True))
    assert rank_agreement(cells(pairs)).spearman == pytest.approx(0.8)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Pairs of normal numbers with Spearman's rho 0.48; 15 cells as in Table 2."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(60):
        pairs = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 15)
        found = rank_agreement(cells(pairs))
        inside += found.low <= 0.48 <= found.high
    assert 50 <= inside <= 60


def test_only_what_is_there_takes_part_and_each_measurement_once():
    pairs = [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]
    extra = [
        cell(9.0, None, "p", source="pending"),
        cell(None, 1.0, "q"),
        cell(1.0, 1.0, "0"),
        cell(5.0, 5.0, "r", metric="iou.bus"),
    ]
    assert rank_agreement(cells(pairs) + extra).cells == 3
    assert rank_agreement(extra) is None


def test_runs_that_ended_with_the_same_weights_count_once():
    """Their published numbers differ, ours cannot: they stand for one measurement."""
    apart = cells([(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)])
    alike = [cell(published, 4.0, f"r{published}", weights="w") for published in (0.0, 9.0)]
    found = rank_agreement(apart + alike)
    assert found.cells == 4
    assert found.spearman == 1.0, "the two count as one with the mean of 0 and 9, the highest"
    assert rank_agreement(apart + alike[::-1]) == found


def test_few_cells_have_no_interval():
    agreement = rank_agreement(cells([(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (4.0, 4.0)]))
    assert describe_agreement(agreement) == (
        "+0.80 over 4 cells (Spearman); too few cells for an interval"
    )


def test_equal_numbers_have_no_order():
    assert rank_agreement(cells([(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)])).spearman == 0.0


def test_each_published_dataset_has_an_order_of_its_own():
    """Together they would agree whatever the methods: every number of one beats the other's."""
    street = [cell(80.0 + i, 60.0 - i, f"s{i}", dataset="streets") for i in range(3)]
    rooms = [cell(40.0 + i, 20.0 - i, f"r{i}", dataset="rooms") for i in range(3)]
    assert rank_agreement(street + rooms).spearman > 0
    found = rank_agreements(street + rooms)
    assert {name: entry.spearman for name, entry in found.items()} == {
        "streets": -1.0,
        "rooms": -1.0,
    }


def test_speed_and_memory_take_no_part():
    timed = [cell(3.0, 9.0 + i, f"t{i}", "frames_per_second", "profiled") for i in range(4)]
    assert rank_agreements(timed) == {}
