"""Which code a number was made by: this checkout's commit or none, and every difference from it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dmnet.checkout import code_version, computing_code, is_package_of

Git = Callable[..., str]


def git_in(folder: Path) -> Git:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
        command = ["git", *who, *arguments]
        result = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return result.stdout.strip()

    return git


def unpack(folder: Path) -> Path:
    """A small project: the package, the parameters, a workflow."""
    for name, text in {
        "dmnet/provenance.py": "import os\n\nprint(os.name)\n",
        "dmnet/heads/head.py": "RATE = 1\n",
        "dmnet/.gitignore": "local.py\n",
        "pipeline/reports/build.py": "pass\n",
        "params/models/a.yaml": "width: 4\n",
        "Snakefile": "rule all\n",
        "README.md": "about\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """In a clean checkout, `tmp_path / "clone"`."""
    git = git_in(unpack(tmp_path / "clone"))
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "all")
    return git


@pytest.fixture
def clone(tmp_path: Path, git: Git) -> Path:
    return tmp_path / "clone"


def test_a_clean_checkout(clone: Path, git: Git) -> None:
    found = code_version(clone)
    assert (found["commit"], found["reason"]) == (git("rev-parse", "HEAD"), None)
    assert (found["modified"], found["diff_sha256"], found["changed"]) == (False, None, False)
    assert found["sha256"] == computing_code(clone)


def edit(clone: Path) -> None:
    (clone / "dmnet/heads/head.py").write_text("RATE = 2\n")


def delete(clone: Path) -> None:
    (clone / "dmnet/heads/head.py").unlink()


def add(clone: Path) -> None:
    (clone / "dmnet/heads/other.py").write_text("")


def add_an_ignored_one(clone: Path) -> None:
    (clone / "dmnet/local.py").write_text("")


def add_one_that_hides_a_library(clone: Path) -> None:
    (clone / "numpy.py").write_text("")


def add_a_preset(clone: Path) -> None:
    (clone / "params/mine.yaml").write_text("")


def edit_what_git_is_told_to_overlook(clone: Path) -> None:
    git_in(clone)("update-index", "--assume-unchanged", "dmnet/heads/head.py")
    edit(clone)


def stage(clone: Path) -> None:
    edit(clone)
    git_in(clone)("add", ".")


@pytest.mark.parametrize(
    "change",
    [
        *(edit, delete, add, add_an_ignored_one, add_one_that_hides_a_library, add_a_preset),
        *(edit_what_git_is_told_to_overlook, stage),
    ],
)
def test_every_difference_from_the_commit_counts(
    change: Callable[[Path], None], clone: Path
) -> None:
    clean = code_version(clone)
    change(clone)
    found = code_version(clone)
    assert found["commit"] == clean["commit"]
    assert found["modified"] is True and len(found["diff_sha256"]) == 64


def test_what_is_no_code_does_not_count(clone: Path) -> None:
    clean = code_version(clone)
    (clone / "README.md").write_text("other")
    (clone / "dmnet/__pycache__").mkdir()
    for name in ("dmnet/__pycache__/head.pyc", "dmnet/.head.py.swp", "dmnet/head.py~"):
        (clone / name).write_text("")
    assert code_version(clone) == clean


def test_committed_or_not_the_same_code_has_the_same_hash(clone: Path, git: Git) -> None:
    edit(clone)
    before = code_version(clone)
    git("commit", "-qam", "edited")
    after = code_version(clone)
    assert before["commit"] != after["commit"] and after["modified"] is False
    assert before["sha256"] == after["sha256"]


def test_of_the_package_alone_nothing_else_counts(clone: Path, git: Git) -> None:
    """Two clones that measure the same at different commits write the same file."""
    before = code_version(clone, package=True)
    add_a_preset(clone)
    (clone / "results.txt").write_text("")
    git("add", "results.txt")
    git("commit", "-qm", "results")
    assert code_version(clone, package=True) == before
    assert code_version(clone)["modified"] is True
    edit(clone)
    assert code_version(clone, package=True)["modified"] is True
    git("commit", "-qam", "edited")
    after = code_version(clone, package=True)
    assert after["commit"] == git("rev-parse", "HEAD") and after["sha256"] != before["sha256"]


SETTINGS = {
    "diff.noprefix": "true",
    "diff.mnemonicPrefix": "true",
    "diff.context": "9",
    "diff.algorithm": "histogram",
    "diff.external": "true",
    "diff.ignoreSubmodules": "all",
    "core.autocrlf": "true",
    "core.fileMode": "true",
    "core.quotePath": "false",
    "color.ui": "always",
    "status.relativePaths": "true",
}


def test_no_setting_of_gits_changes_the_hash(
    clone: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(clone)
    add(clone)
    expected = code_version(clone)
    for name, value in SETTINGS.items():
        git("config", name, value)
    (clone / ".git/info/attributes").write_text("*.py diff=none filter=none text eol=crlf\n")
    git("config", "diff.none.textconv", "true")
    git("config", "filter.none.clean", "true")
    (clone / "dmnet/heads/head.py").chmod(0o755)
    for name, value in {"LC_ALL": "C.UTF-8", "GIT_DIFF_OPTS": "-u0", "GIT_PAGER": "false"}.items():
        monkeypatch.setenv(name, value)
    assert code_version(clone) == expected


def test_line_ends_of_another_system_are_no_change(clone: Path) -> None:
    clean = code_version(clone)
    for path in clone.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert code_version(clone) == clean


def test_a_tree_inside_another_repository_has_no_commit(tmp_path: Path) -> None:
    outer = git_in(tmp_path)
    outer("init", "-q")
    outer("commit", "-q", "--allow-empty", "-m", "thesis")
    inner = unpack(tmp_path / "dmnet-main")
    found = code_version(inner)
    assert found["commit"] is None and found["modified"] is None
    assert found["reason"] == (
        "the code lies inside another git repository; clone the project with git, instead of "
        "unpacking or copying its files"
    )
    outer("add", ".")  # as a part of the thesis it has the thesis's commit, which is no better
    outer("commit", "-qm", "vendored")
    assert code_version(inner) == found


def test_a_repository_that_does_not_track_the_code_has_no_say(tmp_path: Path) -> None:
    outer = git_in(unpack(tmp_path))
    outer("init", "-q")
    outer("commit", "-q", "--allow-empty", "-m", "thesis")
    found = code_version(tmp_path)
    assert found["commit"] is None
    assert found["reason"].startswith("the git repository here does not track the code; clone")


def test_another_repository_in_the_environment_is_not_asked(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = code_version(clone)
    other = tmp_path / "other"
    shutil.copytree(clone, other)
    git_in(other)("commit", "-q", "--allow-empty", "-m", "a stranger's")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(clone))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert code_version(clone) == own
    monkeypatch.undo()
    git_in(clone)("config", "core.worktree", str(other))
    assert code_version(clone)["commit"] is None


def test_without_a_repository_git_says_why(tmp_path: Path) -> None:
    found = code_version(unpack(tmp_path))
    assert found["commit"] is None
    assert found["reason"].startswith("git: not a git repository (or any")
    assert str(tmp_path) not in found["reason"]
    assert found["reason"].endswith(
        "; clone the project with git, instead of unpacking or copying its files"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_clone_of_another_owner_names_gits_reason_and_the_remedy_but_no_place(
    clone: Path,
) -> None:
    for path in (clone, *clone.rglob("*")):
        os.chown(path, 1000, 1000)
    found = code_version(clone)
    assert found["commit"] is None
    assert found["reason"] == (
        "git: detected dubious ownership in repository; "
        'run git config --global --add safe.directory "$PWD" in the checkout\'s folder'
    )


def test_without_git_that_is_said(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone))
    assert code_version(clone)["reason"] == "git cannot be started; install it"


def test_a_damaged_setting_of_gits_is_told_without_the_home_folder(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gitconfig").write_text("[broken\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    reason = code_version(clone)["reason"]
    assert "bad config line 1" in reason and "gitconfig" in reason
    assert str(tmp_path) not in reason


def test_links_in_a_circle_and_pipes_do_not_hang(clone: Path) -> None:
    os.symlink(clone / "dmnet", clone / "dmnet/again")
    os.mkfifo(clone / "dmnet/pipe")
    os.symlink("nowhere.py", clone / "dmnet/dangling.py")
    assert code_version(clone)["modified"] is False
    os.symlink(clone / "dmnet", clone / "pipeline/again")  # under which its modules have new names
    assert code_version(clone)["modified"] is True


def test_the_package_of_a_commit_whatever_git_is_told(clone: Path, git: Git) -> None:
    """No index is asked, which would run the monitor that a copied `.git/config` names."""
    head = git("rev-parse", "HEAD")
    git("update-index", "--assume-unchanged", "dmnet/heads/head.py")
    git("config", "core.fsmonitor", "touch ran; false")
    assert is_package_of(head, clone)
    (clone / "dmnet" / "heads" / "head.py").write_text("RATE = 2\n")
    assert is_package_of(head, clone) is False
    assert is_package_of("0" * 40, clone) is None and is_package_of("--output=ran", clone) is None
    assert not (clone / "ran").exists()
