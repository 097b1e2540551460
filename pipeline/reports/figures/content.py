"""Which images a figure shows, and the numbers of them: JSON-ready, without times or places.

The images are chosen by one rule and not by taste: those on which the models disagree most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dmnet.data.dataset import SegmentationDataset
from dmnet.data.manifest import Manifest
from dmnet.errors import DataError
from dmnet.files import sha256_file
from dmnet.inference.metrics import ConfusionMatrix
from pipeline.errors import ResultError
from pipeline.experiments import Experiment
from pipeline.experiments.figures import Figure
from pipeline.reports.figures.predictions import Predictions, read_predictions
from pipeline.reports.model.base import PresetSummary
from pipeline.reports.model.figure import (
    ChosenImage,
    FigureColumn,
    FigureDataset,
    FigureReport,
    Numbers,
    NumbersOfImage,
    WholeSplit,
)
from pipeline.results.made_by import is_news, notes_of, reported
from pipeline.results.trained_on import trained_on

RULE = (
    "Of the whole split, the images with the largest share of labelled pixels on which the "
    "predictions shown are not all the same class; equal shares in the order of the images' "
    "names. Whether a model is right plays no part in the choice."
)

Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Row:
    """One chosen image, to be drawn: (h, w, 3) uint8, then label maps (h, w) of class indices."""

    stem: str
    image: npt.NDArray[np.uint8]
    truth: Labels
    predictions: tuple[Labels, ...]


def disagreement(predictions: Sequence[Labels], labelled: npt.NDArray[np.bool_]) -> Fraction:
    """The share of labelled pixels on which the predictions are not all the same; 0 if none is.

    An exact fraction: ties must not be decided by rounding.
    """
    differ = np.zeros(labelled.shape, dtype=bool)
    for other in predictions[1:]:
        differ |= other != predictions[0]
    total = int(labelled.sum())
    return Fraction(int((differ & labelled).sum()), total) if total else Fraction(0)


def choose(shares: dict[str, Fraction], count: int) -> list[str]:
    """The `count` image names with the largest shares, equal shares by name."""
    return sorted(shares, key=lambda name: (-shares[name], name))[:count]


def build_figure(
    experiment: Experiment, figure: Figure, root: Path = Path(".")
) -> tuple[FigureReport, list[Row]]:
    """What the figure says, and what it shows. Raises ResultError or DataError."""
    manifest = Manifest.load(root / "data" / figure.dataset.name)
    manifest.require(figure.dataset)
    data = figure.columns[0].evaluation.config.data
    # Labels and photographs at their own size, as the predictions are.
    dataset = SegmentationDataset(manifest, figure.split, data)
    columns = [read_predictions(c, manifest.fingerprint, root) for c in figure.columns]

    stems = [image.stem for image, _ in dataset.pairs]
    shares: dict[str, Fraction] = {}
    counts = [ConfusionMatrix.empty(data.classes) for _ in columns]
    for index, stem in enumerate(stems):
        truth = dataset.read(index)[1].numpy()
        predicted = _predicted(columns, stem, truth.shape)
        shares[stem] = disagreement(predicted, truth != data.ignore_index)
        for matrix, labels in zip(counts, predicted, strict=True):
            _count(matrix, labels, truth, data.ignore_index)

    rows, images = [], []
    for stem in choose(shares, figure.spec.images):
        image, label = dataset.read(stems.index(stem))
        truth = label.numpy()
        predicted = _predicted(columns, stem, truth.shape)
        rows.append(Row(stem, image.permute(1, 2, 0).numpy(), truth, tuple(predicted)))
        measured = []
        for column, labels in zip(columns, predicted, strict=True):
            matrix = ConfusionMatrix.empty(data.classes)
            _count(matrix, labels, truth, data.ignore_index)
            numbers, digest = _numbers(matrix), column.manifest.files[f"{stem}.png"]
            measured.append(NumbersOfImage(**dict(numbers), prediction_sha256=digest))
        share = _percent(float(shares[stem]))
        images.append(ChosenImage(image=stem, disagreement=share, columns=measured))
    preset, used, shows = experiment.preset, figure.dataset, experiment.preset.shows.strip()
    content = FigureReport(
        figure=figure.name,
        title=figure.spec.title,
        source=figure.spec.source,
        notes=[*figure.spec.notes, *notes_of(made for column in columns for made in column.made)],
        rule=RULE,
        preset=PresetSummary(name=experiment.preset_name, title=preset.title, shows=shows),
        dataset=FigureDataset(
            published=figure.published_dataset,
            used=used.name,
            title=used.title,
            stand_in=figure.published_dataset != used.name,
            split=figure.split,
            images=len(dataset),
            fingerprint=manifest.fingerprint,
        ),
        classes=list(used.classes),
        ignore_index=data.ignore_index,
        columns=[_column(column, root) for column in columns],
        images=images,
        whole_split=WholeSplit(
            disagreement=_percent(float(sum(shares.values(), Fraction(0)) / len(shares))),
            columns=[_numbers(matrix) for matrix in counts],
        ),
    )
    return content, rows


def _predicted(columns: list[Predictions], stem: str, size: tuple[int, ...]) -> list[Labels]:
    predicted: list[Labels] = [column.labels(stem) for column in columns]
    for column, labels in zip(columns, predicted, strict=True):
        if labels.shape != size:
            raise ResultError(
                f"{column.path}: {stem}.png is {labels.shape[1]}x{labels.shape[0]} pixels, its "
                f"image {size[1]}x{size[0]}; delete the file and run again"
            )
    return predicted


def _count(matrix: ConfusionMatrix, labels: Labels, truth: Labels, ignore_index: int) -> None:
    predicted = torch.from_numpy(labels.astype(np.int64))
    try:
        matrix.add(predicted, torch.from_numpy(truth), ignore_index)
    except DataError as error:
        raise ResultError(f"predictions: {error}; delete them and run again") from error


def _numbers(matrix: ConfusionMatrix) -> Numbers:
    return Numbers(pixel_accuracy=_percent(matrix.pixel_accuracy()), miou=_percent(matrix.miou()))


def _percent(fraction: float) -> float | None:
    return None if np.isnan(fraction) else round(100 * fraction, 2)


def _column(predictions: Predictions, root: Path) -> FigureColumn:
    column, trained = predictions.column, predictions.trained
    last, config = reported(trained.code), column.evaluation.config
    code = predictions.manifest.code  # that predicted; not recorded by earlier versions
    return FigureColumn(
        title=column.title,
        cell=column.cell.id,
        run=column.evaluation.run_key,
        seed=0,
        weights_sha256=trained.weights.sha256,
        evaluation=column.evaluation.name,
        inference=config.inference.model_dump(mode="json", exclude_none=True),
        load_scale=config.load_scale,
        predictions=column.path,
        predictions_sha256=sha256_file(root / column.path),
        commit=last.commit,
        modified=last.modified,
        predicted_by=reported(code) if code and is_news(code, trained.codes) else None,
        trained_on=trained_on(trained),
        predicted_on=predictions.manifest.device or "unknown device",
    )
