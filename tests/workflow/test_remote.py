"""DVC remotes as they are: S3, a push that breaks off, a full disk, objects that are damaged.

Those that start a server or mount a file system are run by `make test-servers`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from pipeline.dvc.entries import file_md5, read_entry
from tests.workflow.conftest import Clone, wait_until


def dvc(clone, *arguments, **environment):
    return clone.call(sys.executable, "-m", "dvc", *arguments, **environment)


def fresh(clone, path):
    """A colleague's clone, which has the entries and nothing else."""
    clone.git("add", "runs", ".dvc/config")
    clone.git("commit", "-q", "--allow-empty", "-m", "runs")
    clone.git("clone", "-q", str(clone.path), str(path))
    return Clone(path)


def with_remote(clone, url):
    assert dvc(clone, "remote", "add", "--default", "store", str(url)).code == 0
    return clone


def told_in_a_line(result, *texts):
    assert result.code != 0, result.text
    assert "Traceback" not in result.text
    for text in texts:
        assert text in result.text, result.text


@pytest.mark.servers
def test_runs_go_through_s3_and_nothing_is_trained_again(small, tmp_path):
    from tests.servers.services import s3

    with s3(tmp_path / "s3") as server:
        key = {name: value for name, value in server.items() if name.startswith("AWS_")}
        first = with_remote(small.copy(tmp_path / "first"), "s3://runs/dmnet")
        dvc(first, "remote", "modify", "store", "endpointurl", server["endpointurl"])
        pushed = dvc(first, "push", **key)
        assert pushed.code == 0, pushed.text
        assert "up to date" in dvc(first, "push", **key).text
        second = fresh(first, tmp_path / "second")
        refused = second.call(
            sys.executable, "-m", "pipeline", "pull", **{**key, "AWS_SECRET_ACCESS_KEY": "wrong"}
        )
        told_in_a_line(refused, "`python -m pipeline pull` to go on")
        assert "wrong" not in refused.text and not second.runs()
        pulled = second.call(sys.executable, "-m", "pipeline", "pull", "--results", **key)
        assert pulled.code == 0, pulled.text
        assert not list(second.path.glob("runs/*/weights.pt"))
        pulled = second.call(sys.executable, "-m", "pipeline", "pull", **key)
        assert pulled.code == 0, pulled.text
        assert second.weights() == first.weights()
        for secret in key.values():  # given by the environment, so nowhere in the clone
            found = second.call("grep", "-rl", secret, ".", "--include=*", "--exclude-dir=tests")
            assert found.text.strip() == "", f"a secret stands in {found.text}"
    result = second.snakemake("reports/three.md")
    assert result.code == 0, result.text
    assert not {"train", "evaluate", "prepare"} & result.jobs.keys()
    for name in ("three.md", "three.json"):
        assert second.read(f"reports/{name}") == first.read(f"reports/{name}")


@pytest.mark.servers
def test_runs_go_through_ssh(small, tmp_path):
    from tests.servers.services import ssh

    with ssh(tmp_path / "ssh") as server:
        first = with_remote(small.copy(tmp_path / "first"), server["url"])
        second = fresh(first, tmp_path / "second")
        for clone in (first, second):  # each user's own, which git does not take
            keyfile = ("remote", "modify", "--local", "store", "keyfile", server["keyfile"])
            assert dvc(clone, *keyfile).code == 0
        pushed = dvc(first, "push")
        assert pushed.code == 0, pushed.text
        pulled = second.call(sys.executable, "-m", "pipeline", "pull")
        assert pulled.code == 0, pulled.text
        assert second.weights() == first.weights()
        assert second.git("status", "--porcelain") == ""
        other = tmp_path / "other_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
        dvc(second, "remote", "modify", "--local", "store", "keyfile", str(other))
        second.forget(".dvc/cache", "runs")
        second.git("checkout", "-q", "--", "runs")
        refused = second.call(sys.executable, "-m", "pipeline", "pull")
        told_in_a_line(refused, "Permission denied", "`python -m pipeline pull` to go on")
        assert not second.runs()


def test_a_push_that_was_killed_is_repeated_and_complete(small, tmp_path):
    first = with_remote(small.copy(tmp_path / "first"), tmp_path / "store")
    push = subprocess.Popen(
        [sys.executable, "-m", "dvc", "push", "--jobs", "1"],
        cwd=first.path,
        env=first.environment(),
        start_new_session=True,
    )
    wait_until(lambda: list((tmp_path / "store").glob("files/md5/*/*")), 120)
    os.killpg(push.pid, signal.SIGKILL)
    push.wait()
    second = fresh(first, tmp_path / "second")
    pulled = second.call(sys.executable, "-m", "pipeline", "pull")
    if pulled.code != 0:  # what is not there is told, and what is there is whole
        told_in_a_line(pulled, "`python -m pipeline pull` to go on")
    assert second.weights().items() <= first.weights().items()
    assert dvc(first, "push").code == 0
    assert second.call(sys.executable, "-m", "pipeline", "pull").code == 0
    assert second.weights() == first.weights()
    verified = second.call(sys.executable, "-m", "pipeline", "verify")
    assert verified.code == 0, verified.text


@contextmanager
def mounted(folder, options):
    """A file system of its own in `folder`; skips the test where there is no right to mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.servers
def test_a_full_remote_is_told_and_takes_the_rest_when_there_is_room(small, tmp_path):
    with mounted(tmp_path / "store", "size=96k") as store:
        first = with_remote(small.copy(tmp_path / "first"), store)
        told_in_a_line(dvc(first, "push"), "No space left on device")
        second = fresh(first, tmp_path / "second")
        told_in_a_line(second.call(sys.executable, "-m", "pipeline", "pull"), "to go on")
        assert second.weights().items() <= first.weights().items()
        subprocess.run(["mount", "-o", "remount,size=64m", str(store)], check=True)
        assert dvc(first, "push").code == 0
        assert second.call(sys.executable, "-m", "pipeline", "pull").code == 0
        assert second.weights() == first.weights()


@pytest.mark.servers
def test_a_read_only_remote_is_told(small, tmp_path):
    with mounted(tmp_path / "store", "size=1m,ro") as store:
        first = with_remote(small.copy(tmp_path / "first"), store)
        told_in_a_line(dvc(first, "push"), "Read-only file system")


def damage(clone, path):
    path.chmod(0o644)
    clone.flip_a_byte(path)


def test_a_damaged_object_in_the_remote_is_never_used(small, tmp_path):
    first = with_remote(small.copy(tmp_path / "first"), tmp_path / "store")
    assert dvc(first, "push").code == 0
    objects = (tmp_path / "store").glob("files/md5/*/*")
    largest = max(objects, key=lambda path: path.stat().st_size)  # weights
    damage(first, largest)
    second = fresh(first, tmp_path / "second")
    pulled = second.call(sys.executable, "-m", "pipeline", "pull")
    told_in_a_line(pulled, "weights.pt: missing or damaged in the DVC remote")
    assert len(list(second.path.glob("runs/*/weights.pt"))) == 2
    verified = second.call(sys.executable, "-m", "pipeline", "verify")
    assert "weights.pt: not here" in verified.text, verified.text
    result = second.snakemake("reports/three.md")
    assert result.code == 0, result.text
    assert second.weights() == first.weights()
    assert second.read("reports/three.json") == first.read("reports/three.json")


def test_a_damaged_result_in_the_remote_is_measured_again(small, tmp_path):
    first = with_remote(small.copy(tmp_path / "first"), tmp_path / "store")
    assert dvc(first, "push").code == 0
    key = sorted(first.weights())[0]
    (result,) = first.path.glob(f"runs/{key}/evaluations/*.json")
    digest = file_md5(result)
    damage(first, tmp_path / "store" / "files" / "md5" / digest[:2] / digest[2:])
    second = fresh(first, tmp_path / "second")
    pulled = second.call(sys.executable, "-m", "pipeline", "pull")
    told_in_a_line(pulled, f"runs/{key}.{result.stem}: missing or damaged in the DVC remote")
    made = second.snakemake("reports/three.md")
    assert made.code == 0 and made.jobs.get("evaluate") == 1 and "train" not in made.jobs, made.text
    assert second.read("reports/three.json") == first.read("reports/three.json")


def lose(store, entry):
    """Remove everything that the entry names from the remote."""
    for digest in read_entry(f"runs/{entry.name}", entry.parents[1]).outs.values():
        (store / "files" / "md5" / digest[:2] / digest[2:]).unlink(missing_ok=True)


def planned(clone):
    """The jobs of a dry run, each by its message."""
    result = clone.snakemake("--dry-run", "reports/three.md")
    assert result.code == 0, result.text
    return re.findall(r"(?:Training|Evaluating) [0-9a-f]{16}|Preparing dataset", result.text)


def drop_commits(report):
    for row in report["rows"]:
        for run in row["Value"]["runs"]:
            del run["commit"]


@pytest.mark.parametrize(("command", "lost"), [("dvc", "run and evaluation"), ("pipeline", "run")])
def test_with_one_run_missing_in_the_remote_exactly_that_run_is_trained(
    small, tmp_path, command, lost
):
    store = tmp_path / "store"
    first = with_remote(small.copy(tmp_path / "first"), store)
    assert dvc(first, "push").code == 0
    key, *others = sorted(first.weights())
    lose(store, first.path / "runs" / f"{key}.dvc")
    if lost != "run":
        (evaluation,) = first.path.glob(f"runs/{key}.*.dvc")
        lose(store, evaluation)
    second = fresh(first, tmp_path / "second")
    pulled = second.call(sys.executable, "-m", command, "pull")
    told_in_a_line(pulled, f"runs/{key}")
    if command == "pipeline":
        told_in_a_line(
            pulled, "missing or damaged in the DVC remote; all else is here", "exactly these again"
        )
    assert sorted(second.runs()) == others, "all that the remote has came"
    assert planned(second) == ["Preparing dataset", f"Training {key}", f"Evaluating {key}"]
    result = second.snakemake("reports/three.md")
    assert result.code == 0, result.text
    assert result.jobs == {"prepare": 1, "train": 1, "evaluate": 1, "report": 1}
    assert second.weights() == first.weights()
    made, original = second.json("reports/three.json"), first.json("reports/three.json")
    assert len(made.pop("code")) == 2, "it says that it was trained at two commits"
    original.pop("code")
    drop_commits(made), drop_commits(original)
    assert made == original
    assert dvc(second, "push").code == 0, "the remote has it again"
    third = fresh(second, tmp_path / "third")
    assert third.call(sys.executable, "-m", "pipeline", "pull").code == 0
    assert third.weights() == first.weights()


def test_a_damaged_object_in_the_cache_is_found_and_not_pushed_on(small, tmp_path):
    first = with_remote(small.copy(tmp_path / "first"), tmp_path / "store")
    cached = first.path.glob(".dvc/cache/files/md5/*/*")
    largest = max(cached, key=lambda path: path.stat().st_size)
    damage(first, largest)
    verified = first.call(sys.executable, "-m", "pipeline", "verify")
    told_in_a_line(verified, largest.relative_to(first.path).as_posix())
    dvc(first, "push")
    second = fresh(first, tmp_path / "second")
    second.call(sys.executable, "-m", "pipeline", "pull")
    assert second.weights().items() <= first.weights().items()
    for key in second.weights():
        if (second.path / "runs" / key / "weights.pt").exists():
            checked = second.call(sys.executable, "-m", "pipeline", "verify", "--quick")
            assert "weights.pt: expected" not in checked.text, checked.text


def test_a_remote_that_is_not_there_is_told(small, tmp_path):
    first = with_remote(small.copy(tmp_path / "first"), "ssh://nobody@127.0.0.1:9/store")
    started = time.monotonic()
    told_in_a_line(dvc(first, "push"))
    assert time.monotonic() - started < 120
