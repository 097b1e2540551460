"""To and from DVC's remote: what strangers put into entries, lists and trees changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.dvc.entries import cached, md5_of, read_entry
from pipeline.dvc.guard import check_tree
from pipeline.errors import RecordError
from pipeline.inspection.verify.repair import repair
from pipeline.records.artifacts import store, track
from pipeline.records.sharing import check, pull, push

REPOSITORY = Path(__file__).parents[3]
KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
COUNT = f"counts/{KEY}.json"
COUNTED = f'{{"profile": "{KEY}"}}\n'
CHANGED = f'{{"profile": "{KEY}", "macs": 1}}\n'
PAYLOAD = b"raise SystemExit('code of a stranger')\n"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A clone with a measurement and a remote, without git."""
    for name in ("SYSTEM", "GLOBAL"):
        monkeypatch.setenv(f"DVC_{name}_CONFIG_DIR", str(tmp_path / name))
    root = tmp_path / "clone"
    (root / "counts").mkdir(parents=True)
    (root / COUNT).write_text(COUNTED)
    (root / ".dvc").mkdir()  # as `dvc init --no-scm` and `dvc remote add -d` leave it
    remote = f"['remote \"store\"']\n    url = {tmp_path / 'store'}\n"
    (root / ".dvc" / "config").write_text(
        f"[core]\n    no_scm = True\n    remote = store\n{remote}"
    )
    return root


def dvc(root, *arguments):
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True)


def in_remote(root, content, suffix=""):
    """Put an object into the remote; returns its md5."""
    md5 = hashlib.md5(content).hexdigest() + suffix
    path = root.parent / "store" / "files" / "md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


def entry(root, path, name, md5, first=""):
    (root / path).parent.mkdir(exist_ok=True, parents=True)
    text = f"{first}outs:\n- md5: {md5}\n  size: 7\n  hash: md5\n  path: {name}\n"
    (root / path).write_text(text)


def everything(root):
    """All files outside of DVC's own folder."""
    found = [path for path in root.parent.rglob("*") if path.is_file()]
    return {path for path in found if not {".dvc", "store"} & {*path.parts}}


ATTACKS = {
    "a module at the root": (f"runs/{KEY}.dvc", "../tabulate.py", ""),
    "a start-up file": (f"runs/{KEY}.dvc", "../../home/.bashrc", ""),
    "a hook": (f"counts/{KEY}.json.dvc", "../.git/hooks/post-checkout", ""),
    "another folder": (f"runs/{KEY}.dvc", f"{KEY}/weights.pt", "wdir: ../..\n"),
    "another place of an entry": ("pipeline/x.dvc", "tabulate.py", ""),
    "an entry at the root": ("x.dvc", "tabulate.py", ""),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("command", [pull, push, check, repair])
def test_an_entry_of_a_stranger_brings_nothing(tree, attack, command):
    path, name, first = ATTACKS[attack]
    entry(tree, path, name, in_remote(tree, PAYLOAD), first)
    before = everything(tree)
    with pytest.raises(RecordError, match=path):
        command(root=tree)
    assert everything(tree) == before


def test_an_absolute_path_brings_nothing(tree, tmp_path):
    entry(tree, f"runs/{KEY}.dvc", tmp_path / "x", in_remote(tree, PAYLOAD))
    with pytest.raises(RecordError, match="none of its own files"):
        pull(root=tree)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "item",
    [
        {"relpath": "../../../tabulate.py"},
        {"relpath": "../../../../tabulate.py"},
        {"relpath": "evil.dvc"},
        {"relpath": "a.png", "md5": "../../../../tabulate.py"},
    ],
)
@pytest.mark.parametrize("command", [pull, check])
def test_a_list_of_label_maps_in_the_remote_leaves_its_folder_nowhere(tree, item, command):
    listed = [{"md5": in_remote(tree, PAYLOAD)} | item]
    md5 = in_remote(tree, json.dumps(listed).encode(), ".dir")
    entry(tree, f"predictions/{KEY}.a.dvc", f"{KEY}/a", md5)
    before = everything(tree)
    with pytest.raises(RecordError, match="another file than label maps"):
        command(root=tree)
    assert everything(tree) == before


def test_label_maps_of_a_good_list_come(tree):
    image = in_remote(tree, b"png")
    md5 = in_remote(tree, json.dumps([{"md5": image, "relpath": "a.png"}]).encode(), ".dir")
    entry(tree, f"predictions/{KEY}.a.dvc", f"{KEY}/a", md5)
    assert "1 predictions" in pull(root=tree)
    assert (tree / "predictions" / KEY / "a" / "a.png").read_bytes() == b"png"


@pytest.mark.parametrize(
    "link",
    [f"runs/{KEY}", "runs"],
)
def test_nothing_comes_through_a_link(tree, tmp_path, link):
    (tmp_path / "home").mkdir()
    (tree / link).parent.mkdir(exist_ok=True)
    (tree / link).symlink_to(tmp_path / "home")
    entry(tree, f"runs/{KEY}.dvc", f"{KEY}/config.json", in_remote(tree, PAYLOAD))
    with pytest.raises(RecordError, match=rf"{link}: a link, .*put the whole clone"):
        pull(root=tree)
    assert not list((tmp_path / "home").rglob("*.json"))


def test_no_private_file_is_recorded_through_a_link(tree, tmp_path):
    (tmp_path / "secret.json").write_text('{"token": 1}')
    (tree / f"counts/{OTHER}.json").symlink_to(tmp_path / "secret.json")
    told = track(set(), tree)
    assert "1 predictions and measurements tracked" in told.line, "the other one is"
    (problem,) = told.problems
    assert str(problem).startswith(f"counts/{OTHER}.json: a link")
    assert not (tree / f"counts/{OTHER}.json.dvc").exists()


@pytest.mark.parametrize(
    "text", ["stages: {a: {cmd: id, outs: [../x]}}\n", "[" * 100_000, "artifacts: {}\n"]
)
def test_stages_of_a_stranger_are_refused(tree, text):
    (tree / "dvc.yaml").write_text(text)
    with pytest.raises(RecordError, match=r"dvc\.yaml"):
        check_tree(tree)


def test_this_projects_own_files_pass():
    check_tree()


def test_a_record_leaves_out_a_strangers_entry_and_takes_all_else(tree):
    (tree / f"counts/{OTHER}.json").write_text(COUNTED.replace(KEY, OTHER))
    entry(tree, f"counts/{OTHER}.json.dvc", "../tabulate.py", in_remote(tree, PAYLOAD))
    text = (tree / f"counts/{OTHER}.json.dvc").read_text()
    told = track(set(), tree)
    assert [str(problem).split(":")[0] for problem in told.problems] == [f"counts/{OTHER}.json.dvc"]
    assert read_entry(f"{COUNT}.dvc", tree).outs == {COUNT: md5_of(tree / COUNT)}
    assert (tree / f"counts/{OTHER}.json.dvc").read_text() == text
    assert not (tree / "tabulate.py").exists()


def test_an_entry_never_changes_while_what_it_names_is_to_be_had(tree):
    track(set(), tree)
    recorded = (tree / f"{COUNT}.dvc").read_text()
    (tree / COUNT).write_text(CHANGED)
    (problem,) = track(set(), tree).problems
    assert f"counts/{KEY}.json: not what {COUNT}.dvc recorded" in str(problem)
    assert (tree / f"{COUNT}.dvc").read_text() == recorded
    assert repair(tree) == [f"{COUNT}: the recorded copy is back"]
    assert (tree / COUNT).read_text() == COUNTED and track(set(), tree).problems == ()


def test_what_nobody_has_any_more_is_recorded_anew_and_told(tree):
    track(set(), tree)
    cached(md5_of(tree / COUNT), tree).unlink()
    (tree / COUNT).write_text(CHANGED)
    told = track(set(), tree)
    assert told.problems == () and f"the entry is another: {COUNT}.dvc" in told.line


def test_a_push_stores_again_what_a_cleaned_shared_cache_has_lost(tree, tmp_path):
    dvc(tree, "cache", "dir", str(tmp_path / "shared"))
    track(set(), tree)
    shutil.rmtree(tmp_path / "shared")  # `dvc gc` of a clone without this measurement
    assert push(tree) == (
        "DVC: the remote has all that 1 entries name (1 that its cache had lost were stored again)"
    )
    (tree / COUNT).unlink()
    shutil.rmtree(tmp_path / "shared")
    assert "measurements are here" in pull(root=tree)


def test_a_push_never_says_that_all_is_there_when_it_is_nowhere(tree, tmp_path):
    track(set(), tree)
    shutil.rmtree(tree / ".dvc" / "cache")
    (tree / COUNT).unlink()
    with pytest.raises(RecordError, match=rf"{COUNT}: not in the DVC remote, nor in DVC's cache"):
        push(tree)


def test_the_documented_hook_names_what_a_merge_brought(tree):
    """Of docs/sharing.md, for those who give a plain `dvc pull`."""
    text = (REPOSITORY / "docs" / "sharing.md").read_text()
    (lines,) = re.findall(r"```console\n(printf .*?)```", text, re.DOTALL)
    python = tree / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} "$@"\n')
    python.chmod(0o755)

    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)

    git("init", "-qb", "main")
    subprocess.run(["bash", "-ec", lines], cwd=tree, check=True)
    git("commit", "-q", "--allow-empty", "-m", "mine")
    git("checkout", "-qb", "theirs")
    entry(tree, f"runs/{KEY}.dvc", "../tabulate.py", in_remote(tree, PAYLOAD))
    git("add", "runs")
    git("commit", "-qm", "a run")
    git("checkout", "-q", "main")
    assert "it names '../tabulate.py'" in git("merge", "theirs").stderr


@pytest.mark.parametrize(
    ("path", "text"),
    [(".dvcignore", "*.dvc\n"), ("counts/.dvcignore", "*.json\n"), ("counts/.dvc/config", "")],
)
def test_a_push_passes_over_nothing_in_silence(tree, path, text):
    """DVC leaves out what is ignored and says that everything is up to date."""
    track(set(), tree)
    (tree / path).parent.mkdir(exist_ok=True)
    (tree / path).write_text(text)
    with pytest.raises(RecordError, match="ignored|pass over everything"):
        push(tree)


def test_a_damaged_object_of_the_cache_is_replaced(tree):
    track(set(), tree)
    path = cached(md5_of(tree / COUNT), tree)
    path.chmod(0o644)
    path.write_text("rot")
    assert any("is again what counts/" in line for line in repair(tree))
    assert path.read_text() == COUNTED


def test_dvcs_own_reason_is_told(tree):
    (tree / ".dvc" / "config.local").write_text("[core]\n    bogus = 1\n")
    reason = "extra keys not allowed @ data['core']['bogus']"
    (problem,) = track(set(), tree).problems
    assert reason in str(problem) and "`python -m pipeline record`" in str(problem)
    assert not (tree / f"{COUNT}.dvc").exists()


def test_a_file_that_changes_while_dvc_stores_it_is_not_recorded(tree, monkeypatch):
    def changes(arguments, root, again):
        (root / COUNT).write_text("rot")
        dvc(root, *arguments)

    monkeypatch.setattr("pipeline.records.artifacts.dvc", changes)
    with pytest.raises(RecordError, match="changed while DVC stored them"):
        store({f"{COUNT}.dvc": [COUNT]}, tree)
    assert not (tree / f"{COUNT}.dvc").exists()


def test_a_pipe_in_place_of_a_result_is_no_hang(tree):
    os.mkfifo(tree / f"counts/{OTHER}.json")
    (problem,) = track(set(), tree).problems
    assert f"counts/{OTHER}.json: cannot be read (no plain file)" in str(problem)
