import click


@click.command()
def command() -> None:
    """On which GPUs this was measured, for the README."""
    from pipeline.inspection.gpu_status import gpu_row

    print(gpu_row())
