from pathlib import Path

import click

from pipeline.commands.scale import Scale, at_scale, target
from pipeline.experiments import PARAMS
from pipeline.spec.params import Params


@click.command()
@target
@click.option(
    "--profile",
    "profiles",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FOLDER",
    help="A cluster's, as for snakemake; may be given several times: its jobs, limits, disk.",
)
@click.option("--card", metavar="NAME", help="The GPU; default: the profile's, or this machine's.")
@at_scale
def command(scale: Scale, target: str | None, profiles: tuple[Path, ...], card: str | None) -> None:
    """Cells, shared runs and the cost, before anything runs."""
    from pipeline.inspection.plan import render_plan

    costs, asked = Params(PARAMS).costs(), list(profiles) or None
    print(render_plan(scale.experiment(target), costs, card_name=card, profiles=asked))
