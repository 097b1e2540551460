import click

from pipeline.commands.scale import Scale, at_scale, target


@click.command()
@target
@at_scale
def command(scale: Scale, target: str | None) -> None:
    """What is done, running (iteration, ETA, mIoU) and pending."""
    from pipeline.inspection.status import render_status

    print(render_status(scale.experiment(target)))
