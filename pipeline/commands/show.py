import click

from pipeline.commands.scale import Scale, at_scale


@click.command()
@click.argument("cell")
@at_scale
def command(scale: Scale, cell: str) -> None:
    """Where a cell's number comes from, down to weights and data."""
    from pipeline.inspection.show.lineage import render_show

    print(render_show(scale.experiment(), cell))
