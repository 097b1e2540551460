"""How fast a training is and how long it still takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmnet.files import read_json
from dmnet.training import progress
from dmnet.training.progress import Progress


def test_an_earlier_attempt_counts_for_the_time_spent_but_not_for_the_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    attempt = Progress(tmp_path / "progress.json", iterations=100, iteration=40, seconds=500.0)
    now += 10.0
    attempt.report(60, loss=0.5, lr=0.01, val_miou=None)
    written = read_json(tmp_path / "progress.json")
    assert attempt.seconds == 510.0
    assert (written["iterations_per_second"], written["eta_seconds"]) == (2.0, 20.0)
    assert (written["iteration"], written["iterations"]) == (60, 100)
