"""Command line of the pipeline: `python -m pipeline --help`."""

from __future__ import annotations

import os
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
            sys.stdout.flush()  # here, where it may fail, and not as Python ends
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except DMNetError as error:
            print(error_line(error), file=sys.stderr)
            return 1
        except BrokenPipeError:  # the reader of our output (head, less) went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except click.Abort:  # Ctrl-C
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
