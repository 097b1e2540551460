"""What judges the rounds of `make chaos` notices what is wrong."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from tests.workflow.chaos.choices import choices
from tests.workflow.chaos.disturbance import MARK, Hit, disturb, processes
from tests.workflow.chaos.progress import done, done_again, log_of, not_saved
from tests.workflow.chaos.results import differing, left_behind, not_recorded


@pytest.fixture
def clone(small, tmp_path):
    return small.copy(tmp_path / "clone")


def test_other_bytes_missing_files_and_leftovers_are_noticed(clone, small):
    assert differing(clone, small) == left_behind(clone) == not_recorded(clone, small) == []
    key, other, third = sorted(clone.weights())
    clone.flip_a_byte(clone.path / "runs" / key / "weights.pt")
    clone.replace(f"runs/{other}/train.json", '"seed": 0', '"seed": 1')
    clone.replace(f"runs/{third}/train.json", '"to": 6', '"to": 5')
    (clone.path / "reports" / "three.md").unlink()
    clone.write("runs/.x.tmp", "")
    (clone.path / "reports" / "partial").mkdir()
    clone.write("reports/partial/two.md", "of another table, which nobody asked for")
    clone.write("reports/partial/three.json", "of the table that is whole by now")
    noticed = " ".join(differing(clone, small))
    for what in (
        f"runs/{key}/weights.pt: other bytes",
        f"runs/{other}/train.json: seed: 1, not 0",
        f"runs/{third}/train.json: attempts end at 5 of 6",
        "reports/three.md: missing",
        "reports/partial/three.json: left over",
        "runs/.x.tmp: left over",
    ):
        assert what in noticed
    assert "two.md" not in noticed
    assert left_behind(clone) == ["runs/.x.tmp: left over"]


def test_a_gap_in_the_record_is_noticed(clone, small):
    key, other, third = sorted(clone.weights())
    (clone.path / "runs" / f"{key}.dvc").unlink()
    with closing(sqlite3.connect(clone.path / "mlflow.db")) as store, store:
        run = "(SELECT run_uuid FROM tags WHERE key = 'dmnet.key' AND value = ?)"
        store.execute(f"DELETE FROM metrics WHERE step = 3 AND run_uuid = {run}", [other])
        store.execute(f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid = {run}", [third])
    noticed = " ".join(not_recorded(clone, small))
    for what in (f"{key}.dvc: no such", f"run {other}: curves", f"run {third}: status"):
        assert what in noticed


def test_what_is_trained_again_is_noticed(clone):
    key, other, third = sorted(clone.weights())
    for name in (other, third):
        (clone.path / "runs" / name / "finished.json").unlink()
    (log := log_of(clone, key)).write_text("")
    before = done(clone)
    before[other] = type(before[other])(saved=4, finished=None, log=b"")
    assert done_again(clone, {key: before[key], third: before[third]}) == []
    assert done_again(clone, {other: before[other]}) == [
        f"runs/{other}: saved at 4, trained from 1 again"
    ]
    log.write_text("10:00:00 [x] 1/6  loss 3.0\n")
    assert done_again(clone, {key: before[key]}) == [f"runs/{key}: was finished, and trained again"]
    progress = {other: {"pid": 7, "iteration": 3}}
    stopped = Hit(signal.SIGTERM, "dmnet train", False, frozenset({7}), 1.0)
    assert not_saved(clone, progress, [stopped], {7}) == [
        f"runs/{other}: asked to stop at iteration 3, saved is 0"
    ]
    assert not_saved(clone, progress, [stopped], {8}) == []


def test_a_signal_reaches_only_what_carries_the_mark(tmp_path):
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    ours = subprocess.Popen(sleep, env=os.environ | {MARK: str(tmp_path)}, start_new_session=True)
    other = subprocess.Popen(sleep, start_new_session=True)
    try:
        while not processes(str(tmp_path)):
            time.sleep(0.01)
        hit = disturb(str(tmp_path), random.Random(1), time.monotonic())
        assert hit is not None and hit.asked == {ours.pid}
        assert ours.wait(10) in (-hit.number, 1)  # 1: KeyboardInterrupt
        assert other.poll() is None
        assert disturb(str(tmp_path), random.Random(1), time.monotonic()) is None
    finally:
        other.kill()
        other.wait()


def test_the_same_seed_gives_the_same_workflows():
    assert choices(3, 5) == choices(3, 5) != choices(4, 5)
    assert len({*choices(3, 5)}) == 5
