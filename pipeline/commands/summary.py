from pathlib import Path

import click

from pipeline.commands.scale import Scale, at_scale, into_folder
from pipeline.experiments import PARAMS


@click.command()
@into_folder
@at_scale
def command(scale: Scale, folder: Path) -> None:
    """Write claims.md and index.md, from all JSON reports."""
    from pipeline.experiments.figures import load_figures
    from pipeline.reports.write import write_summary

    experiment = scale.experiment()
    write_summary(experiment, load_figures(PARAMS, experiment), folder)
