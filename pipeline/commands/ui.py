import click

from pipeline.commands.scale import Scale, at_scale


@click.command()
@click.option("--host", default="127.0.0.1", help="Default: this machine only.")
@click.option("--port", type=int, default=5000)
@click.option(
    "--every", type=float, default=10, help="Seconds between looks at the runs; default 10."
)
@at_scale
def command(scale: Scale, host: str, port: int, every: float) -> None:
    """MLflow's pages of the runs, their curves moving while they train."""
    from pipeline.tracking.ui import serve

    serve(scale.experiment(), host, port, every)
