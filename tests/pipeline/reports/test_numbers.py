"""Numbers as all reports print them."""

from __future__ import annotations

import pytest

from pipeline.reports.numbers import interval_text, margin_text, number_text, ours_text
from tests.pipeline.reports.made import a_cell


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"source": "pending"}, "pending"),
        ({"ours": 71.0}, "71.00"),
        ({"ours": 71.0, "spread": 1.414}, "71.00 ± 1.41"),
        ({"ours": 0.0123, "source": "profiled", "speed": "0" * 16}, "0.012"),
    ],
)
def test_ours_is_a_number_with_its_spread_or_why_there_is_none(changes, text):
    assert ours_text(a_cell("t/a", **changes)) == text


def test_a_pending_cell_has_no_number():
    assert number_text(a_cell("t/a", source="pending")) == ""


@pytest.mark.parametrize(
    ("margin", "text"), [(None, ""), (0.0, "0.00"), (0.5, "+0.50"), (-0.005, "-0.005")]
)
def test_a_margin_has_a_third_place_where_rounding_leaves_one(margin, text):
    assert margin_text(margin) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [((None, None), "unknown"), ((5.0, 5.0), "exact"), ((None, 0.0), "? to +0.00"), (None, "")],
)
def test_an_interval_without_ends_or_without_width(interval, text):
    assert interval_text(interval) == text
