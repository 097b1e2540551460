from pathlib import Path

import click

from dmnet.files import to_json, write_text
from pipeline.commands.scale import Scale, at_scale, into_file
from pipeline.errors import SpecError


@click.command()
@click.argument("key")
@into_file
@at_scale
def command(scale: Scale, key: str, output: Path) -> None:
    """For the rules: write a run's config.json."""
    experiment = scale.experiment()
    run = experiment.runs.get(key) or experiment.releases.get(key)
    if run is None:
        raise SpecError(
            f"run {key}: no table has it at preset {scale.preset!r} with {scale.seeds} seed(s); "
            "see `python -m pipeline plan`"
        )
    write_text(output, to_json(run.job.model_dump(mode="json")))
