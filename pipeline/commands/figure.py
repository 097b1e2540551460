from pathlib import Path

import click

from dmnet.files import to_json, write_bytes, write_text
from pipeline.commands.scale import Scale, at_scale, into_folder
from pipeline.errors import SpecError
from pipeline.experiments import PARAMS


@click.command()
@click.argument("name")
@into_folder
@at_scale
def command(scale: Scale, name: str, folder: Path) -> None:
    """Draw a figure from finished predictions."""
    from pipeline.experiments.figures import load_figures
    from pipeline.reports.figures.caption import render_caption
    from pipeline.reports.figures.content import build_figure
    from pipeline.reports.figures.drawing import draw_figure

    experiment = scale.experiment()
    figures = load_figures(PARAMS, experiment)
    if name not in figures:
        raise SpecError(f"unknown figure {name!r}; expected one of {', '.join(figures) or 'none'}")
    content, rows = build_figure(experiment, figures[name])
    write_bytes(folder / f"{name}.png", draw_figure(content, rows))
    write_text(folder / f"{name}.json", to_json(content.model_dump(mode="json")))
    write_text(folder / f"{name}.md", render_caption(content))
