"""A run says what made it and how to make it again, and nothing about who or where."""

from __future__ import annotations

import getpass
import socket

import pytest


def test_a_run_records_code_versions_hardware_data_and_the_command_that_repeats_it(small):
    commit = small.git("rev-parse", "HEAD").strip()
    for key, run in small.runs().items():
        code = run["code"]
        assert (code["commit"], code["modified"], code["changed"]) == (commit, False, False)
        (attempt,) = run["attempts"]
        assert attempt["code"] == code and attempt["environment"] == run["environment"]
        assert attempt["parameters"]["key"] == key
        for path in (small.path / "runs" / key / "evaluations").glob("*.json"):
            measured = small.json(f"runs/{key}/evaluations/{path.name}")["code"]
            assert measured["sha256"] == code["sha256"] and measured["modified"] is False
            assert measured["commit"] == small.git("rev-list", "-1", "HEAD", "--", "dmnet").strip()
        assert run["environment"]["packages"].keys() >= {"torch", "numpy", "pillow"}
        assert run["environment"]["processor"]["cores"] >= 1
        assert run["seed"] == 0 and run["parent"] is None
        assert run["repeat"] == (
            f"snakemake --cores all runs/{key}/train.json --config preset=tiny seeds=1 sources=DIR"
        )
        assert run == small.json(f"runs/{key}/finished.json")


def test_neither_user_nor_host_nor_place_is_recorded(small):
    names = [str(small.path), socket.gethostname(), getpass.getuser()]
    names = [name for name in names if len(name) > 5]  # "vm" and "root" may be parts of words
    for key in small.runs():
        for path in (small.path / "runs" / key).rglob("*.json"):
            text = path.read_text()
            assert not any(name in text for name in names), path


def test_uncommitted_changes_are_recorded_by_their_hash_only(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    clone.forget_runs()
    clone.write("dmnet/text.py", clone.read("dmnet/text.py") + "\n# a secret thought\n")
    assert clone.snakemake("reports/one.md").code == 0
    (run,) = clone.runs().values()
    assert run["code"]["modified"] is True and len(run["code"]["diff_sha256"]) == 64
    assert "secret" not in str(run)
    shown = clone.pipeline("show", "one/ours")
    assert f"with uncommitted changes (SHA-256 {run['code']['diff_sha256']})" in shown.text
    assert run["repeat"] in shown.text


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("params/tables/three.yaml", "78.21", "78.22", "results or params (rows)"),
        ("dmnet/text.py", '"""', '"""Ours: ', "dmnet/ is another than at "),
    ],
)
def test_status_says_of_a_report_that_something_moved_on(small, tmp_path, file, old, new, expected):
    clone = small.copy(tmp_path / "clone")
    assert "moved on" not in clone.pipeline("status", "three").text
    clone.write(file, clone.read(file).replace(old, new, 1))
    assert f"moved on since reports/three.md: {expected}" in clone.pipeline("status", "three").text


def test_no_secret_of_the_environment_or_of_a_remotes_address_lands_anywhere(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    clone.forget_runs()
    secrets = {
        **{"AWS_SECRET_ACCESS_KEY": "geheim-aws", "GITHUB_TOKEN": "geheim-token"},
        **{"MLFLOW_TRACKING_PASSWORD": "geheim-mlflow", "MLFLOW_TRACKING_TOKEN": "geheim-bearer"},
        "PGPASSWORD": "geheim-pg",
    }
    address = "ssh://somebody:geheim-ssh@127.0.0.1:9/store"
    added = clone.python("-m", "dvc", "remote", "add", "--local", "-d", "store", address)
    assert added.code == 0, added.text
    result = clone.snakemake("reports/one.md", **secrets)
    assert result.code == 0, result.text
    pulled = clone.call("python", "-m", "pipeline", "pull", **secrets)
    told = result.text + pulled.text
    told += clone.pipeline("show", "one/ours", **secrets).text
    told += clone.pipeline("status", **secrets).text
    assert "geheim" not in told
    for path in clone.path.rglob("*"):
        if path.is_file() and path.name != "config.local":  # where DVC keeps it, out of git
            assert b"geheim-" not in path.read_bytes(), path
    assert "config.local" not in clone.git("status", "--porcelain", "--untracked-files=all")
