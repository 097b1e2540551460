"""One set of versions, whichever way the environment is made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def requirements(name):
    """canonical name -> pinned version, or None"""
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if requirement := line.split("#")[0].strip():
            package, _, version = requirement.partition("==")
            found[re.sub(r"[-_.]+", "-", package).lower()] = version or None
    return found


LOCK = requirements("requirements.lock")


@pytest.mark.parametrize(("package", "version"), requirements("requirements.in").items())
def test_a_direct_requirement_is_locked_at_its_pin(package, version):
    assert package in LOCK
    assert version in (None, LOCK[package])


def test_everything_in_the_lock_has_one_exact_version():
    assert all(LOCK.values())
    assert not [version for version in LOCK.values() if "+" in version], "no local builds"


def test_the_lock_for_older_drivers_has_the_same_versions():
    older = requirements("requirements-cu126.lock")
    builds = {name: f"{LOCK[name]}+cu126" for name in ("torch", "torchvision")}
    assert older == LOCK | builds


def test_conda_installs_the_same_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock"]


def test_conda_and_the_project_ask_for_the_same_python():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (python,) = [e for e in environment["dependencies"] if str(e).startswith("python=")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    major, minor = map(int, python.removeprefix("python=").split("."))
    assert project["requires-python"] == f">={major}.{minor},<{major}.{minor + 1}"
    assert f"PYTHON ?= python{major}.{minor}" in (ROOT / "Makefile").read_text()


def test_the_environment_that_make_sets_up_finds_the_code_of_its_clone(tmp_path):
    """Under PYTHONSAFEPATH, with which Python does not look into the folder it works in."""
    clone = tmp_path / "a clone"
    shutil.copytree(ROOT / "pipeline", clone / "pipeline")
    shutil.copy(ROOT / "Makefile", clone)
    (clone / "requirements.lock").write_text("")
    made = ["make", ".venv/.installed-from-lock", f"PYTHON={sys.executable}"]
    subprocess.run(made, cwd=clone, check=True, capture_output=True)
    command = [clone / ".venv/bin/python", "-c", "import pipeline; print(pipeline.__file__)"]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    found = subprocess.run(
        command, cwd=clone, env=environment, check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == str(clone / "pipeline" / "__init__.py")
