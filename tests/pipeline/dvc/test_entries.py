"""DVC's entries, read without DVC."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.dvc.cache import cache_folder
from pipeline.dvc.entries import (
    entries,
    md5_of,
    names_only,
    parse_listing,
    read_entry,
)
from pipeline.errors import RecordError


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("runs/0123456789abcdef/weights.pt", "runs/0123456789abcdef.dvc"),
        (
            "runs/0123456789abcdef/evaluations/flip-val-1.json",
            "runs/0123456789abcdef.flip-val-1.dvc",
        ),
        ("released/0123456789abcdef/train.json", "released/0123456789abcdef.dvc"),
        ("predictions/0123456789abcdef/a.json", "predictions/0123456789abcdef.a.dvc"),
        ("predictions/0123456789abcdef/a/7.png", "predictions/0123456789abcdef.a.dvc"),
        ("speed/0123456789abcdef.json", "speed/0123456789abcdef.json.dvc"),
    ],
)
def test_every_result_has_one_entry_beside_its_runs_folder(path, entry):
    assert paths.entry(path) == entry


KEY = "0123456789abcdef"
MD5 = "0123456789abcdef0123456789abcdef"


def test_files_and_folders_have_the_md5s_that_dvc_gives_them(tmp_path):
    folder = tmp_path / "predictions" / KEY / "a"
    folder.mkdir(parents=True)
    for name in ("b.png", "a.png", "ä.png"):
        (folder / name).write_text(name)
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / f"{KEY}.json").write_text("{}")
    # Beyond column 80, as mmsegmentation's windows of 769 with scales and flip: DVC folds the line.
    long = "mmseg-cityscapes-769-ms-flip-1x-val-01234567"
    (tmp_path / "runs" / KEY / "evaluations").mkdir(parents=True)
    (tmp_path / "runs" / KEY / "evaluations" / f"{long}.json").write_text("{}")
    made = {
        f"predictions/{KEY}.a.dvc": f"{KEY}/a",
        f"speed/{KEY}.json.dvc": f"{KEY}.json",
        f"runs/{KEY}.{long}.dvc": f"{KEY}/evaluations/{long}.json",
    }
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    for entry, name in made.items():
        (tmp_path / entry).write_text(f"outs:\n- path: {name}\n")
        assert names_only(entry, tmp_path)
    dvc(tmp_path, "commit", "--force", *made)
    assert ": \n" in (tmp_path / "runs" / f"{KEY}.{long}.dvc").read_text()
    evaluation, *found = [read_entry(path, tmp_path) for path in entries(tmp_path)]
    name = f"runs/{KEY}/evaluations/{long}.json"
    assert evaluation.outs == {name: md5_of(tmp_path / name)}
    assert [entry.key for entry in found] == [KEY] * 2
    digests = {path: md5 for entry in found for path, md5 in entry.outs.items()}
    assert digests == {path: md5_of(tmp_path / path) for path in digests} and len(digests) == 2
    names = {f"predictions/{KEY}/a/{name}.png" for name in "abä"}
    assert found[0].files(tmp_path).keys() == names


def dvc(root, *arguments):
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, check=True)


def out(path, md5=MD5, more=""):
    return f"- md5: {md5}\n  size: 7\n  hash: md5\n  path: {path}\n{more}"


GOOD = {
    f"runs/{KEY}.dvc": out(f"{KEY}/weights.pt") + out(f"{KEY}/train.json", more="  isexec: true\n"),
    f"released/{KEY}.flip-val-1.dvc": out(f"{KEY}/evaluations/flip-val-1.json"),
    f"predictions/{KEY}.a.dvc": out(f"{KEY}/a.json") + out(f"{KEY}/a", f"{MD5}.dir"),
    f"counts/{KEY}.json.dvc": out(f"{KEY}.json", f"'{'1' * 32}'"),
}


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_an_entry_names_files_of_its_own_result(tmp_path, path, end):
    place(tmp_path, path, GOOD[path].replace("\n", end), end)
    found = read_entry(path, tmp_path)
    assert all(name.startswith(f"{path.split('/')[0]}/{KEY}") for name in found.outs)


def place(root, path, text, end="\n"):
    (root / path).parent.mkdir(exist_ok=True, parents=True)
    (root / path).write_bytes(f"outs:{end}{text}".encode())


@pytest.mark.parametrize(
    "text",
    [
        *(
            out(name)
            for name in (
                "../tabulate.py",
                "/home/me/.bashrc",
                f"../runs/{KEY}/weights.pt",
                f"{KEY}/../../tabulate.py",
                f"{KEY}/weights.py",
                f"{KEY}/resume/states.json",
                f"{KEY}/evaluations/a.json",
                "fedcba9876543210/weights.pt",
                f"{KEY}",
                f"'{KEY}/weights.pt' ",
                f"./{KEY}/weights.pt",
                f"~/{KEY}/weights.pt",
                "remote://store/a",
            )
        ),
        out(f"{KEY}/weights.pt", f"{MD5}.dir"),
        out(f"{KEY}/weights.pt", "../../../../etc/passwd"),
        out(f"{KEY}/weights.pt") * 2,
        *(
            out(f"{KEY}/weights.pt", more=f"{more}\n")
            for more in (
                "wdir: ../../home",
                "deps:",
                "cmd: id",
                "frozen: true",
                "  remote: other",
                "  persist: true",
                "  cloud: {}",
                "  path: ../x",
                "- path",
                "#",
                "...",
                "  desc: &a [*a]",
            )
        ),
        f"- {{md5: {MD5}, hash: md5, path: {KEY}/weights.pt}}\n",
        f"- path: {KEY}/weights.pt\n",
        "- path: \x00\n",
        "- path: é\n",
        "[" * 100_000,
        "- " * 30_000 + "\n",
        f"- path: {'a' * 10_000_000}\n",
        "7\n",
        "",
    ],
    ids=lambda text: repr(text[:60]) + str(len(text)),
)
def test_whatever_else_an_entry_says_it_is_none(tmp_path, text):
    path = f"runs/{KEY}.dvc"
    place(tmp_path, path, text)
    with pytest.raises(
        RecordError, match=rf"{path}: no DVC entry .* `git checkout -- {path}`"
    ) as e:
        read_entry(path, tmp_path)
    assert "\n" not in str(e.value) and str(e.value).isprintable()


@pytest.mark.parametrize(
    "path", ["runs/a.dvc", f"runs/{KEY}/x.dvc", "x.dvc", f"data/{KEY}.dvc", f"counts/{KEY}.dvc"]
)
def test_an_entry_lies_where_entries_lie(tmp_path, path):
    place(tmp_path, path, out(f"{KEY}/weights.pt"))
    with pytest.raises(RecordError, match=f"{path}: no name of an entry"):
        read_entry(path, tmp_path)


def test_an_entry_is_a_plain_file(tmp_path):
    path = tmp_path / "runs" / f"{KEY}.dvc"
    path.parent.mkdir()
    for make in (lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/zero"), path.mkdir):
        make()
        with pytest.raises(RecordError, match="no plain file"):
            read_entry(f"runs/{KEY}.dvc", tmp_path)
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    "item",
    [
        {"relpath": "../../../tabulate.py", "md5": MD5},
        {"relpath": "/tmp/x", "md5": MD5},
        {"relpath": "sub/x.png", "md5": MD5},
        {"relpath": "..", "md5": MD5},
        {"relpath": "evil.dvc", "md5": MD5},
        {"relpath": ".gitattributes", "md5": MD5},
        {"relpath": ".hidden.png", "md5": MD5},
        {"relpath": "x\x1b[2J.png", "md5": MD5},
        {"relpath": "x.png", "md5": "../../../../etc/passwd"},
        {"relpath": "x.png", "md5": f"{MD5}.dir"},
        {"relpath": 7, "md5": MD5},
        {"md5": MD5},
        7,
    ],
)
def test_a_folders_list_names_files_directly_in_it(item):
    good = {"relpath": "2007_000033.png", "md5": MD5}
    assert parse_listing(json.dumps([good]).encode(), "x") == {"2007_000033.png": MD5}
    for items in ([item], [good, item], [good, good]):
        with pytest.raises(RecordError, match="DVC's list of a folder's files is none"):
            parse_listing(json.dumps(items).encode(), "x")


def test_a_list_nested_without_end_is_none():
    with pytest.raises(RecordError):
        parse_listing(b"[" * 100_000, "x")


def test_the_cache_is_where_the_last_setting_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "system"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))
    assert cache_folder(tmp_path) == tmp_path / ".dvc/cache/files/md5"
    for folder, name, given, expected in (
        ("user", "config", "/shared", Path("/shared")),
        (".dvc", "config", "other", tmp_path / ".dvc/other"),
        (".dvc", "config.local", "../mine", tmp_path / ".dvc/../mine"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(f"[cache]\n    dir = {given}\n")
        assert cache_folder(tmp_path) == expected / "files/md5"
