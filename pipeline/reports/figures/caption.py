"""What stands below a figure: how its images were chosen, their numbers, and what made them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.reports.markdown.tables import pipe_table
from pipeline.reports.model.figure import FigureReport, Numbers
from pipeline.results.made_by import commit_text


def render_caption(content: FigureReport) -> str:
    notes, scales = list(content.notes), {column.load_scale for column in content.columns}
    if scales != {1.0}:
        notes.append(
            "Images were shrunk when loaded (`load_scale` "
            f"{', '.join(map(str, sorted(scales)))}) and the label maps enlarged to the images' "
            "own size, where they are counted here; the tables count at the loaded size, so the "
            "numbers of the whole split differ a little from theirs."
        )
    parts = [
        f"# {content.title}",
        f"![{content.title}]({content.figure}.png)",
        f"After {content.source}, at preset `{content.preset.name}`.",
        _header(content),
        f"**How the images were chosen:** {content.rule}",
        _numbers(content),
        "In each image: pixel accuracy, and the mean IoU over the classes that occur in its ground "
        "truth or in the prediction. In percent of the labelled pixels. The last row counts the "
        "pixels of all images of the split together; its disagreement is the mean over the images.",
        "\n".join(f"- {note}" for note in notes),
        "## Where each column comes from",
        _origins(content),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(content: FigureReport) -> str:
    preset, data = content.preset, content.dataset
    text = (
        f"`{data.used}`, {data.title}, split `{data.split}`, {data.images} images, "
        f"fingerprint `{data.fingerprint[:12]}`"
    )
    if data.stand_in:
        text += f"; **a stand-in** for `{data.published}`"
    rows = [
        ["Preset", f"`{preset.name}`: {preset.title}"],
        ["Dataset", text],
        ["What this shows", preset.shows],
    ]
    return pipe_table(rows)


def _numbers(content: FigureReport) -> str:
    headers = ["Image", "Models disagree"]
    for column in content.columns:
        headers += [f"{column.title} accuracy", "mIoU"]
    whole = content.whole_split
    entries: list[tuple[str, float | None, Sequence[Numbers]]] = [
        *((image.image, image.disagreement, image.columns) for image in content.images),
        (f"all {content.dataset.images}", whole.disagreement, whole.columns),
    ]
    rows = []
    for name, disagreement, columns in entries:
        line = [name, percent(disagreement)]
        for numbers in columns:
            line += [percent(numbers.pixel_accuracy), percent(numbers.miou)]
        rows.append(line)
    align = ["left"] + ["right"] * (len(headers) - 1)
    return pipe_table(rows, headers, align)


def _origins(content: FigureReport) -> str:
    headers = ["Column", "Cell", "Run", "Seed", "Weights", "Predictions", "Commit", "Device"]
    rows = [
        [
            column.title,
            column.cell,
            f"`{column.run}`",
            str(column.seed),
            f"`{column.weights_sha256[:12]}`",
            f"`{column.evaluation}`, `{column.predictions_sha256[:12]}`",
            # Which trained, and which predicted where it is another.
            "; predicted by ".join(map(commit_text, filter(None, (column, column.predicted_by)))),
            column.predicted_on,
        ]
        for column in content.columns
    ]
    return pipe_table(rows, headers)


def percent(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f}"
