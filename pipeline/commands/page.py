from pathlib import Path

import click

from dmnet.files import write_text
from pipeline.commands.scale import Scale, at_scale, into_folder


@click.command()
@into_folder
@at_scale
def command(scale: Scale, folder: Path) -> None:
    """Write overview.html, all reports on one page."""
    from pipeline.reports.html.inputs import read_histories, read_inputs
    from pipeline.reports.html.page import render_page

    experiment = scale.experiment()
    reports, claims, figure = read_inputs(
        experiment.tables, folder, experiment.preset_name, experiment.seeds
    )
    html = render_page(reports, claims, read_histories(reports.values()), figure)
    write_text(folder / "overview.html", html)
