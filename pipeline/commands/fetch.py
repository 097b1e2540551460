import logging
from pathlib import Path

import click

from pipeline.experiments import PARAMS


@click.command()
@click.argument("checkpoint")
@click.option("--weights", type=click.Path(path_type=Path), default=Path("weights"))
@click.option("--mirror", help="A folder (or file:// address) to copy from, without a network.")
def command(checkpoint: str, weights: Path, mirror: str | None) -> None:
    """Download and verify released checkpoints.

    CHECKPOINT is a name or a pattern; they go into weights/.
    """
    from pipeline.spec.checkpoints import fetch_checkpoints

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    fetch_checkpoints(PARAMS, checkpoint, weights, mirror)
