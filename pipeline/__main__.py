"""Command line of the pipeline: `python -m pipeline --help`."""

from __future__ import annotations

import sys

import click

from dmnet.clone import require_own_clone
from dmnet.errors import DMNetError
from dmnet.private.collector import collect_rarely
from dmnet.text import all_visible, error_line
from pipeline.commands import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def pipeline() -> None:
    """Look ahead, look around, write reports, keep records."""
    require_own_clone()


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    collect_rarely()
    with all_visible():
        try:
            pipeline.main(arguments, prog_name="python -m pipeline", standalone_mode=False)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except DMNetError as error:
            print(error_line(error), file=sys.stderr)
            return 1
        except click.Abort:  # Ctrl-C
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
