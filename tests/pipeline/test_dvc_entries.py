"""DVC's entries, read without DVC."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.dvc_entries import entries, entry_of, md5_of, read_entry
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
    assert entry_of(path) == entry


def test_files_and_folders_have_the_md5s_that_dvc_gives_them(tmp_path):
    folder = tmp_path / "predictions" / "0123456789abcdef" / "a"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.png", "a.png", "sub/ä.png"):
        (folder / name).write_text(name)
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / "0123456789abcdef.json").write_text("{}")
    made = ["predictions/0123456789abcdef/a", "speed/0123456789abcdef.json"]
    for command in (["init", "--no-scm", "--quiet"], ["add", "--quiet", *made]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=tmp_path, check=True)
    folder.with_suffix(".dvc").rename(tmp_path / "predictions" / "0123456789abcdef.a.dvc")
    found = [read_entry(path, tmp_path) for path in entries(tmp_path)]
    assert [entry.key for entry in found] == ["0123456789abcdef"] * 2
    digests = [md5 for entry in found for md5 in entry.outs.values()]
    assert digests == [md5_of(tmp_path / path) for path in made]
    names = {"predictions/a/a.png", "predictions/a/b.png", "predictions/a/sub/ä.png"}
    assert found[0].files(tmp_path).keys() == names, "relative to the entry, which was moved"


@pytest.mark.parametrize("content", ["outs:\n- path: a/train.json\n", "outs: 7\n", "[", "{}\n"])
def test_an_entry_without_md5s_is_none_and_the_error_says_what_to_do(tmp_path, content):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a.dvc").write_text(content)
    with pytest.raises(RecordError, match=r"runs/a\.dvc: no DVC entry .*; delete it and give `py"):
        read_entry("runs/a.dvc", tmp_path)
