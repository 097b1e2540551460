"""`kill -9` anywhere, then the same command: it goes on and arrives at the same weights."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.usefixtures("unrecorded")
TARGET = "reports/one.md"
ITERATIONS = 160  # of preset `long`


def steps(clone):
    """Iteration -> how many rows of the history have its training loss."""
    (path,) = clone.path.glob("runs/*/history.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return Counter(row["iteration"] for row in rows if "loss" in row)


def assert_as_undisturbed(clone, undisturbed):
    assert clone.weights() == undisturbed.weights()
    (key,) = clone.weights()
    for name in (f"runs/{key}/history.jsonl", TARGET, "reports/one.json"):
        assert clone.read(name) == undisturbed.read(name), name
    assert clone.leftovers() == []
    assert not (clone.path / "runs" / key / "resume").exists()


@pytest.fixture(scope="module")
def story(undisturbed, tmp_path_factory):
    """A training: looked at, asked for a second time, killed, looked at, gone on with."""
    clone = undisturbed.copy(tmp_path_factory.mktemp("story") / "clone")
    clone.forget_runs()
    told = SimpleNamespace(clone=clone)
    told.status_before = clone.pipeline("status", "one", preset="long").text
    snakemake = clone.start(TARGET, preset="long")
    progress = clone.wait_for_states()
    os.kill(progress["pid"], signal.SIGSTOP)  # so that it is surely not ready while looked at
    told.status_running = clone.pipeline("status", "one", preset="long").text
    told.second = clone.snakemake(TARGET, preset="long")
    assert snakemake.poll() is None, "the first Snakemake must still be at work"
    os.kill(progress["pid"], signal.SIGKILL)
    told.code = snakemake.wait(timeout=60)
    told.finished_while_killed = clone.runs()
    told.status_interrupted = clone.pipeline("status", "one", preset="long").text
    told.again = clone.snakemake(TARGET, preset="long")
    told.status_done = clone.pipeline("status", "one", preset="long").text
    return told


def test_a_killed_training_fails_its_snakemake(story):
    assert story.code != 0
    assert story.finished_while_killed == {}


def test_the_same_command_goes_on_where_the_killed_training_stopped(story):
    assert story.again.code == 0, story.again.text
    assert f"of {ITERATIONS}" in story.again.text.split("going on from iteration")[1]


def test_a_killed_training_ends_with_the_weights_and_curve_of_one_left_alone(story, undisturbed):
    assert_as_undisturbed(story.clone, undisturbed)


def test_status_tells_pending_running_interrupted_and_done(story):
    assert "0 running, 0 failed, 0 interrupted, 0 done, 1 pending" in story.status_before
    assert "1 running, 0 failed, 0 interrupted, 0 done, 0 pending" in story.status_running
    assert "0 running, 1 failed, 0 interrupted, 0 done, 0 pending" in story.status_interrupted
    assert "killed by signal 9 (SIGKILL)" in story.status_interrupted, "Snakemake outlived it"
    assert "0 running, 0 failed, 0 interrupted, 1 done, 0 pending" in story.status_done
    assert "1 of 1 evaluations done" in story.status_done


def test_status_of_a_running_training_has_its_iteration_and_the_time_left(story):
    (line,) = [row for row in story.status_running.splitlines() if row.startswith("running")]
    _, iteration, eta, *_ = line.split()
    done, total = map(int, iteration.split("/"))
    assert 0 < done < total == ITERATIONS
    hours, minutes, seconds = eta.split(":")
    assert (hours, minutes) == ("0", "00") and seconds.isdigit()


def test_a_second_snakemake_says_that_the_first_is_at_work(story):
    assert story.second.code != 0
    assert "is at work here; wait for it, or use a second clone" in story.second.text
    assert "Traceback" not in story.second.text


def test_killing_snakemake_alone_neither_stops_nor_repeats_the_training(
    before_training, undisturbed
):
    snakemake = before_training.start(TARGET, preset="long")
    orphan = before_training.wait_for_states()["pid"]
    os.kill(orphan, signal.SIGSTOP)  # so that it is surely not ready before the second one looks
    snakemake.kill()
    snakemake.wait()
    again = before_training.start(TARGET, preset="long")
    before_training.wait_for_output(f"is being trained by process {orphan}")
    os.kill(orphan, signal.SIGCONT)
    assert again.wait(timeout=120) == 0
    assert "finished earlier, weights verified: nothing to train" in before_training.output()
    assert "going on from" not in before_training.output()
    assert set(steps(before_training).values()) == {1}
    assert_as_undisturbed(before_training, undisturbed)


def test_killing_the_whole_process_group_and_damaging_the_newest_state(
    before_training, undisturbed
):
    """The newest state is noticed as damaged, the one before it is used."""
    snakemake = before_training.start(TARGET, preset="long")
    before_training.wait_for_states()
    os.killpg(snakemake.pid, signal.SIGKILL)
    snakemake.wait()
    (index,) = before_training.path.glob("runs/*/resume/states.json")
    older, newer = json.loads(index.read_text())["states"]
    before_training.flip_a_byte(index.parent / newer["file"])
    again = before_training.snakemake(TARGET, preset="long")
    assert again.code == 0, again.text
    assert f"{newer['file']}: damaged (its SHA-256 differs); trying an older one" in again.text
    assert f"going on from iteration {older['iteration']} of {ITERATIONS}" in again.text
    assert_as_undisturbed(before_training, undisturbed)


def test_ctrl_c_saves_the_state_and_the_same_command_goes_on(before_training, undisturbed):
    """A terminal sends SIGINT to the whole group; snakemake then exits by itself."""
    snakemake = before_training.start(TARGET, preset="long")
    before_training.wait_for_states(1)
    os.killpg(snakemake.pid, signal.SIGINT)
    assert snakemake.wait(timeout=60) != 0
    assert before_training.runs() == {}
    again = before_training.snakemake(TARGET, preset="long")
    assert again.code == 0, again.text
    assert "going on from iteration" in again.text
    assert_as_undisturbed(before_training, undisturbed)
