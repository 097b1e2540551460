from pathlib import Path

import click

from dmnet.files import to_json, write_text
from pipeline.commands.scale import Scale, at_scale, into_file
from pipeline.errors import SpecError


@click.command()
@click.argument("name")
@into_file
@at_scale
def command(scale: Scale, name: str, output: Path) -> None:
    """For the rules: write a dataset's configuration."""
    dataset = scale.experiment().datasets.get(name)
    if dataset is None:
        raise SpecError(
            f"dataset {name}: not used at preset {scale.preset!r}; "
            "expected one of those that `python -m pipeline plan` names"
        )
    write_text(output, to_json(dataset.model_dump(mode="json")))
