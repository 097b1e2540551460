from pathlib import Path

import click

from pipeline.commands.scale import Scale, at_scale, into_folder


@click.command()
@click.argument("table")
@click.option(
    "--predictions", type=click.Path(path_type=Path), required=True, help="Their JSON manifest."
)
@into_folder
@at_scale
def command(scale: Scale, table: str, predictions: Path, folder: Path) -> None:
    """Pack predictions for a test server."""
    from pipeline.reports.submission import describe_submission, write_submission

    content = write_submission(scale.experiment(table), table, predictions, folder)
    print(describe_submission(content, folder))
