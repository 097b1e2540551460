from pathlib import Path

import click

from pipeline.commands.scale import Scale, at_scale, into_folder
from pipeline.experiments import PARAMS


@click.command()
@click.argument("table")
@click.option("--complete", is_flag=True, help="Into its place, or not at all (for the rules).")
@into_folder
@at_scale
def command(scale: Scale, table: str, complete: bool, folder: Path) -> None:
    """What there is of a table by now, to reports/partial/."""
    from pipeline.reports.build import build_report
    from pipeline.reports.verdict import load_rules
    from pipeline.reports.write import write_partial, write_report

    content = build_report(scale.experiment(table), table, rules=load_rules(PARAMS))
    if complete:
        write_report(content, folder)
    else:
        print(write_partial(content, folder))
