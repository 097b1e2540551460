from pathlib import Path

import click

from pipeline.commands.scale import into_folder


@click.command()
@into_folder
def command(folder: Path) -> None:
    """Compare with the reference implementations' recorded outputs."""
    from pipeline.reports.fidelity import write_fidelity

    write_fidelity(folder)
