"""The commands of `python -m pipeline`: one file each, found by its name.

A file holds a click command called `command`; its docstring is the command's help. What it needs is
imported within it, as listing the commands reads them all.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import click

NO_COMMANDS = ("__init__", "scale")


class Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        names = (path.stem for path in Path(__file__).parent.glob("*.py"))
        return sorted(name.replace("_", "-") for name in names if name not in NO_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command
