"""Before the first job: the folders can be written, nobody else is at work, and locks hold."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmnet.errors import RunError
from pipeline.errors import PipelineError
from pipeline.workflow.tree import check_writable, hand_on, hold_tree, require_here


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_second_snakemake_is_told_who_is_at_work():
    with hold_tree(), pytest.raises(PipelineError, match=f"process {os.getpid()} on .* at work"):
        hold_tree()
    hold_tree().close()


def test_a_file_system_without_locks_is_told_before_anything_runs(tree, monkeypatch):
    def flock(stream: object, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(RunError, match=r"runs/\.locks: this file system gives no locks.*-o flock"):
        hold_tree()
    assert list((tree / "runs" / ".locks").iterdir()) == []


def test_a_folder_for_snakemakes_state_that_cannot_be_made_is_one_line(tree):
    (tree / ".snakemake").write_text("")
    with pytest.raises(RunError, match=r"dmnet\.lock: cannot be opened"):
        hold_tree()


def test_a_link_to_a_disk_that_is_not_mounted(tree):
    (tree / "runs").symlink_to("/nowhere/runs")
    with pytest.raises(PipelineError, match="runs: a link to /nowhere/runs, .* mount its disk"):
        check_writable()


def test_another_working_folder_than_the_clone_is_refused(tree):
    clone = tree / "clone"
    clone.mkdir()
    with pytest.raises(PipelineError, match=f"--directory {tree}: .* leave --directory out"):
        require_here(clone)
    require_here(Path("."))


def test_jobs_find_the_packages_under_pythonsafepath(tree):
    (tree / "pipeline.py").write_text("print('found')\n")
    code = (
        "from pathlib import Path; from pipeline.workflow.tree import hand_on; hand_on(Path('.'))"
    )
    code += "; import subprocess, sys; subprocess.run([sys.executable, '-m', 'pipeline'])"
    repository = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": repository}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "found\n"


def test_without_pythonsafepath_the_environment_stays_as_it_is(tree, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    hand_on(tree)
    assert "PYTHONPATH" not in os.environ
