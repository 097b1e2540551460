"""The command line: its help, its mistakes, and the ways in which it is left early."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pipeline.__main__ import main, pipeline
from pipeline.commands import Commands

ROOT = Path(__file__).resolve().parents[2]
assert isinstance(pipeline, Commands)
NAMES = pipeline.list_commands(click.Context(pipeline))


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert {"plan", "gpu-status", "verify"} <= set(NAMES)
    assert all(f"  {name} " in shown for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_says_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "-h"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: python -m pipeline {name} ")
    assert len(shown.splitlines()[2]) > 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "No such command 'nope'"),
        (["__init__"], "No such command"),
        (["plan", "--seeds", "two"], "'two' is not a valid integer"),
        (["resolve", "0" * 16], "Missing option '--output'"),
        (["plan", "table2", "more"], "unexpected extra argument"),
    ],
)
def test_what_is_typed_wrong_is_told(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_fault() -> None:
    command = f"{sys.executable} -m pipeline plan | head -n 1"
    done = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("Preset mini") and not done.stderr


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    program = (
        "import os, signal, sys; from unittest import mock; from pipeline.__main__ import main\n"
        "from pipeline.inspection import plan\n"
        "plan.render_plan = lambda *a, **k: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(main(['plan']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + signal.SIGINT
    assert "Traceback" not in done.stderr
