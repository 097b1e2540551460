from __future__ import annotations

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
        keys = {*asked.runs, *asked.releases, *asked.profiles, *asked.speeds}
    print(pull(keys, results=results))
