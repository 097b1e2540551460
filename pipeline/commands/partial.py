from pathlib import Path

import click

from pipeline.commands.scale import Scale, at_scale, into_folder
from pipeline.experiments import PARAMS


@click.command()
@into_folder
@at_scale
def command(scale: Scale, folder: Path) -> None:
    """Write the tables with a failed cell, as far as they are."""
    from pipeline.reports.build import build_report
    from pipeline.reports.verdict import load_rules
    from pipeline.reports.write import write_partial

    experiment = scale.experiment()
    for table in experiment.tables:
        content = build_report(experiment, table, rules=load_rules(PARAMS))
        if content.lacking("failed"):
            print(f"{write_partial(content, folder)}: {content.source_counts}")
