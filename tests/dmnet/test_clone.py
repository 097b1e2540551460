"""The code of one clone never runs on the results of another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("package", ["dmnet", "pipeline"])
def test_in_the_folder_of_another_clone_it_is_refused(tmp_path: Path, package: str) -> None:
    (tmp_path / "dmnet").mkdir()
    (tmp_path / "dmnet" / "clone.py").write_text("")
    command = {
        "dmnet": ["prepare", "--dataset", "data/x.json", "--folder", "data/x"],
        "pipeline": ["verify"],
    }[package]
    result = subprocess.run(
        [sys.executable, "-m", package, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == (
        f"error: {tmp_path}: a clone with code of its own, but that of {ROOT} would run here; "
        f"unset PYTHONSAFEPATH, or set PYTHONPATH={tmp_path}\n"
    )
