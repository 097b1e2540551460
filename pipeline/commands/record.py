import click

from pipeline.commands.scale import Scale, at_scale, target


@click.command()
@target
@click.option("--no-dvc", is_flag=True, help="MLflow only.")
@click.option("--limit", type=float, default=900, help="Seconds for MLflow; default 900.")
@at_scale
def command(scale: Scale, target: str | None, no_dvc: bool, limit: float) -> None:
    """Hand finished runs to MLflow and DVC."""
    from pipeline.records.record import record_runs
    from pipeline.records.unrecorded import unrecorded
    from pipeline.workflow.invocation import Invocation

    asked = scale.experiment(target)
    record_runs(scale.experiment(), {*asked.runs, *asked.releases}, dvc=not no_dvc, limit=limit)
    if target is None and not no_dvc:
        config = {"preset": scale.preset, "seeds": scale.seeds, "source": scale.weights_source}
        unrecorded(Invocation.read(config).options).unlink(missing_ok=True)
