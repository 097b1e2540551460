import click

from pipeline.commands.scale import Scale, at_scale, target


@click.command()
@target
@click.option("--results", is_flag=True, help="Without weights: enough for every report.")
@at_scale
def command(scale: Scale, target: str | None, results: bool) -> None:
    """Bring others' runs here from the DVC remote."""
    from pipeline.records.sharing import pull

    keys = None
    if target is not None:
        asked = scale.experiment(target)
        measured = (job.key for job in asked.measurements.values())
        keys = {*asked.runs, *asked.releases, *measured}
    print(pull(keys, results=results))
