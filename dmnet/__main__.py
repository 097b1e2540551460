"""Command line of the model package: its commands (dmnet/commands), and how each ends."""

from __future__ import annotations

import argparse
import logging
import sys

from dmnet.clone import require_own_clone
from dmnet.commands import COMMANDS
from dmnet.commands.command import Command
from dmnet.errors import DMNetError
from dmnet.private.collector import uncollected
from dmnet.private.memory import keep_large_blocks
from dmnet.provenance import code_at_start
from dmnet.text import all_visible, error_line
from dmnet.torchrun import rank_of_this_process

# Not taken from the docstring, which PYTHONOPTIMIZE=2 removes.
ABOUT = (
    "Command line of the model package: prepare data, train or import, evaluate, predict, measure."
)


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m dmnet", description=ABOUT)
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        own = commands.add_parser(command.name, help=command.about)
        command.options(own)
        own.add_argument("--label", default="", help="shown in front of every log line")
        own.set_defaults(command=command)
    return root


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    arguments.command_line = sys.argv[1:] if argv is None else argv
    with all_visible():
        return _run(arguments.command, arguments)


def _run(command: Command, arguments: argparse.Namespace) -> int:
    keep_large_blocks()
    if command.records is not None:
        # What is imported from here on is what it records.
        code_at_start(package=command.records == "package")
    if command.needs_torch:
        with uncollected():
            import torch  # noqa: F401 - it alone: what else a command imports is small
    prefix = f"[{arguments.label}] " if arguments.label else ""
    if (rank := rank_of_this_process()) is not None:
        prefix += f"[process {rank}] "
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {prefix}%(message)s", datefmt="%H:%M:%S"
    )
    first = rank in (None, 0)  # of several that would print the same line
    try:
        require_own_clone()
        command.action(arguments)
    except DMNetError as error:
        if str(error) and (first or not error.common):
            print(error_line(error, error.prefix), file=sys.stderr)
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
