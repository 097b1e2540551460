"""Texts for people."""

from __future__ import annotations

import pytest

from dmnet.text import clock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (59.4, "0:00:59"), (59.6, "0:01:00"), (3661, "1:01:01"), (90000, "25:00:00")],
)
def test_durations_read_as_hours_minutes_seconds(seconds: float, text: str) -> None:
    assert clock(seconds) == text
