"""What keeps results from DVC and git is known from the tree, before anything is trained."""

from __future__ import annotations

import pytest

from pipeline.dvc.shareable import why_not_shared
from pipeline.errors import RecordError
from pipeline.records.artifacts import track
from pipeline.records.sharing import pull


@pytest.fixture
def clone(tmp_path):
    for name in (".git", ".dvc", "runs"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_clone_can_share(clone):
    assert why_not_shared(clone) is None


def test_a_tree_without_git(clone):
    (clone / ".git").rmdir()
    line = track(set(), clone).line
    assert line.startswith(f"DVC: left out: {clone} is no git repository") and "no_scm" in line
    (clone / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    assert why_not_shared(clone) is None


def test_the_git_folder_of_a_worktree_is_a_file(clone):
    (clone / ".git").rmdir()
    (clone / ".git").write_text("gitdir: elsewhere\n")
    assert why_not_shared(clone) is None


def test_results_on_another_disk_by_a_link(clone, tmp_path_factory):
    (clone / "runs").rmdir()
    (clone / "runs").symlink_to(tmp_path_factory.mktemp("disk"))
    assert (
        "runs: a link, behind which DVC neither stores nor brings anything"
        in track(set(), clone).line
    )
    with pytest.raises(RecordError, match="nothing was pulled: runs: a link.*mount --bind"):
        pull(root=clone)


def test_a_broken_configuration_of_dvc_is_left_to_dvc(clone):
    (clone / ".dvc" / "config").write_text("no section\n")
    assert why_not_shared(clone) is None
