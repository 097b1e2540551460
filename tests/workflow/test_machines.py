"""Settings and folders that people have: the workflow works there, or says in one line why not."""

from __future__ import annotations

import errno
import shutil
import subprocess

import pytest

from tests.workflow.conftest import Clone


@pytest.fixture
def untrained(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    clone.forget_runs()
    return clone


@pytest.fixture
def elsewhere(untrained, tmp_path):
    """Calls start in a folder that is not the clone."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Clone(folder)


@pytest.mark.usefixtures("unrecorded")
def test_started_from_another_folder(untrained, elsewhere, small):
    """Also under PYTHONSAFEPATH, with which Python does not look into the folder it works in."""
    result = elsewhere.snakemake("-s", "../clone/Snakefile", "reports/one.md", PYTHONSAFEPATH="1")
    assert result.code == 0, result.text
    assert untrained.weights().items() <= small.weights().items() and len(untrained.runs()) == 1
    assert {entry.name for entry in elsewhere.path.iterdir()} == {".snakemake"}  # its log
    assert "Nothing to be done" in untrained.snakemake("reports/one.md").text
    again = elsewhere.snakemake("-s", str(untrained.path / "Snakefile"), "reports/one.md")
    assert "Nothing to be done" in again.text


def test_another_directory_than_the_clone(untrained, elsewhere):
    arguments = ("-s", str(untrained.path / "Snakefile"), "-d", str(elsewhere.path))
    result = elsewhere.snakemake(*arguments, "reports/one.md")
    assert result.code != 0 and f"--directory {elsewhere.path}: " in result.text
    assert "Traceback (most recent call last)" not in result.text
    inside = ("-s", "../clone/Snakefile", "-d", str(untrained.path))
    assert elsewhere.snakemake("-n", *inside, "reports/one.md").code == 0


@pytest.mark.usefixtures("unrecorded")
def test_without_asserts_and_docstrings(untrained, small):
    result = untrained.snakemake("reports/one.md", PYTHONOPTIMIZE="2")
    assert result.code == 0, result.text
    assert untrained.weights().items() <= small.weights().items()
    for package in ("dmnet", "pipeline"):
        assert untrained.python("-m", package, "--help", PYTHONOPTIMIZE="2").code == 0


def test_results_on_another_disk_and_no_git(untrained, small, tmp_path):
    """The runs are made and MLflow has them; that DVC does not is told before the first job."""
    shutil.rmtree(untrained.path / ".git")
    disk = tmp_path / "disk"
    shutil.move(untrained.path / "runs", disk)
    (untrained.path / "runs").symlink_to(disk)
    result = untrained.snakemake("reports/one.md", MLFLOW_TRACKING_URI="")
    assert result.code == 0, result.text
    assert untrained.weights().items() <= small.weights().items()
    warned, trained = result.text.index("not handed to DVC"), result.text.index("Training ")
    assert warned < trained and "is no git repository" in result.text
    assert "MLflow: 1 finished runs, 1 newly recorded" in result.text
    assert "error:" not in result.text


def test_a_file_system_without_locks(untrained, tmp_path):
    """Nothing is trained where two processes could write the same run."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import fcntl, os\n"
        "def flock(stream, operation):\n"
        f"    raise OSError({errno.ENOLCK}, os.strerror({errno.ENOLCK}))\n"
        "fcntl.flock = flock\n"
    )
    result = untrained.snakemake("reports/one.md", PYTHONPATH=str(site))
    assert result.code != 0 and "this file system gives no locks" in result.text
    assert "Traceback (most recent call last)" not in result.text
    assert untrained.runs() == {} and "Training " not in result.text
    status = untrained.pipeline("status", PYTHONPATH=str(site))
    assert status.code == 0 and "pending" in status.text


def test_a_clone_with_windows_line_endings_has_the_same_bytes(template, tmp_path):
    """core.autocrlf is what Git for Windows sets, and WSL then reads."""
    command = ["git", "-c", "core.autocrlf=true", "clone", "-q", str(template.path), "crlf"]
    subprocess.run(command, cwd=tmp_path, check=True)
    names = template.git("ls-files").splitlines()
    committed = {name: (template.path / name).read_bytes() for name in names}
    assert {name: (tmp_path / "crlf" / name).read_bytes() for name in names} == committed
