from pathlib import Path

import click

from pipeline import paths
from pipeline.commands.scale import Scale, at_scale, target


@click.command()
@target
@click.option(
    "--sources", type=click.Path(path_type=Path), default=Path(paths.SOURCES), help="The datasets."
)
@click.option("--check", is_flag=True, help="Read and hash every file.")
@at_scale
def command(scale: Scale, target: str | None, sources: Path, check: bool) -> None:
    """Which datasets are there, complete or damaged, and what to do."""
    from pipeline.inspection.data_status import render_data

    print(render_data(scale.experiment(target), sources, check=check))
