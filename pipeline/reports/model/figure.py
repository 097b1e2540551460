"""`reports/<figure>.json`: the chosen images, the numbers of each model on them, what made them."""

from __future__ import annotations

from pydantic import Field, JsonValue

from pipeline.reports.model.base import Name, Number, PresetSummary, ReportPart
from pipeline.results.schemas import Count, FileName, Key, MadeBy, Sha256, is_empty


class FigureDataset(ReportPart):
    published: Name
    used: Name
    title: str
    stand_in: bool
    split: Name
    images: Count
    fingerprint: Sha256


class FigureColumn(MadeBy):
    """A model; trained by this code."""

    title: str
    cell: str
    run: Key
    seed: Count
    weights_sha256: Sha256
    evaluation: FileName
    inference: dict[str, JsonValue]
    load_scale: float
    predictions: str
    predictions_sha256: Sha256
    predicted_by: MadeBy | None = Field(None, exclude_if=is_empty)  # where it is other code
    trained_on: str
    predicted_on: str


class Numbers(ReportPart):
    """Percent, two places; None where no pixel is labelled."""

    pixel_accuracy: Number | None
    miou: Number | None


class NumbersOfImage(Numbers):
    prediction_sha256: Sha256


class ChosenImage(ReportPart):
    image: str
    disagreement: Number | None
    columns: list[NumbersOfImage]


class WholeSplit(ReportPart):
    disagreement: Number | None
    columns: list[Numbers]


class FigureReport(ReportPart):
    figure: Name
    title: str
    source: str
    notes: list[str]
    rule: str
    preset: PresetSummary
    dataset: FigureDataset
    classes: list[str]
    ignore_index: int
    columns: list[FigureColumn]
    images: list[ChosenImage]
    whole_split: WholeSplit
