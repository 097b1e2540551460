"""Reads label maps that `python -m dmnet predict` wrote, and checks that they were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dmnet.config import content_hash
from dmnet.data.decode import read_label
from dmnet.errors import DataError
from dmnet.files import sha256_file
from dmnet.inference.encoding import Encoding, encoding_from
from pipeline.errors import ResultError
from pipeline.experiments.figures import Column
from pipeline.results.cells import check_facts
from pipeline.results.files import read_result_file
from pipeline.results.schemas import Made, Predicted, Trained


@dataclass(frozen=True)
class Predictions:
    """The label maps of one column, of the run, weights, protocol and data it stands for."""

    column: Column
    path: Path  # the manifest
    manifest: Predicted
    trained: Trained
    encoding: Encoding

    @property
    def made(self) -> list[tuple[str, Made]]:
        """What code made, by its path."""
        return [(self.column.evaluation.trained, self.trained), (self.column.path, self.manifest)]

    def labels(self, stem: str) -> npt.NDArray[np.uint8]:
        """Class indices (h, w), whatever stands for them in the file.

        Raises ResultError for a missing, damaged or foreign one.
        """
        name = f"{stem}.png"
        file = self.path.parent / str(self.manifest.folder) / name
        again = f"delete {self.path} and run again"
        if name not in self.manifest.files:
            raise ResultError(f"{self.path}: `files` has no {name}; {again}")
        if not file.is_file():
            raise ResultError(f"{file}: missing; {again}")
        if (found := sha256_file(file)) != (expected := self.manifest.files[name]):
            raise ResultError(
                f"{file}: damaged, its SHA-256 is {found[:16]}, expected {expected[:16]}; {again}"
            )
        try:
            stored = read_label(file)
        except DataError as error:
            raise ResultError(f"{error}; {again}") from error
        try:
            return self.encoding.classes(stored)
        except DataError as error:
            raise ResultError(f"{file}: {error}; {again}") from error


def read_predictions(column: Column, fingerprint: str, root: Path = Path(".")) -> Predictions:
    """The column's predictions on the prepared data with this fingerprint.

    Raises ResultError when they are missing or of another run, weights, protocol or data.
    """
    path, evaluation = root / column.path, column.evaluation
    manifest = read_result_file(path, Predicted)
    trained = read_result_file(root / evaluation.trained, Trained)
    facts = (
        ("run", manifest.run, evaluation.run_key),
        ("evaluation", manifest.evaluation_hash, content_hash(evaluation.config)),
        ("weights", manifest.weights_sha256, trained.weights.sha256),
        ("data", manifest.data_fingerprint, fingerprint),
        ("data", trained.data_fingerprint, fingerprint),
        ("folder", manifest.folder, path.stem),  # never outside predictions/<key>
    )
    check_facts(path, facts)
    try:
        encoding = encoding_from({"encoding": manifest.encoding}, evaluation.config.data.classes)
    except DataError as error:
        raise ResultError(f"{path}: {error}; delete the file and run again") from error
    return Predictions(column, path, manifest, trained, encoding)
