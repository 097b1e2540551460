"""How predicted classes stand in PNGs: in the values of the benchmark's own label files, or of
training.

    benchmark        a class is stored as                     PNG
    Cityscapes       its label id, 7 to 33                    grey
    ADE20K           1 to 150; 0 is for what is no class      grey
    Pascal-Context   1 to 59, with background 0 to 59         grey
    PASCAL VOC       0 to 20                                  VOC's palette
    CamVid           0 to 10                                  grey

So a prediction can be held against a label file of its benchmark, pixel by pixel, as the
benchmarks' own tools do. The values are those that the dataset's `label_map` reads as the class; of
several that become one class, the lowest.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dmnet.config import DataIdentity
from dmnet.data.dataset import label_lookup
from dmnet.errors import ConfigError, DataError

Form = Literal["official", "train-ids"]
TRAIN_IDS = "train ids"
PALETTE = "PASCAL VOC 2012 (VOCcolormap.m)"
BENCHMARKS = {
    "cityscapes": "Cityscapes label ids",
    "ade20k": "ADE20K label values",
    "pascal_context": "Pascal-Context label values",
    "voc2012aug": "PASCAL VOC 2012 class indices",
    "voc2012_test": "PASCAL VOC 2012 class indices",
    "camvid": "CamVid label values",
}
WITH_PALETTE = ("voc2012aug", "voc2012_test")


@dataclass(frozen=True)
class Encoding:
    """`values[k]` stands in the files for class k; `palette`: the colours beside them, or none."""

    name: str
    values: tuple[int, ...]
    palette: str | None

    def same_files(self, other: Encoding) -> bool:
        """Whether both write the same bytes, whatever they are called."""
        return (self.values, self.palette) == (other.values, other.palette)

    def png(self, labels: npt.NDArray[np.uint8]) -> bytes:
        """Class indices (h, w) -> a PNG of 8 bits; equal labels, equal bytes."""
        from PIL import Image

        from dmnet.data.voc2012 import coloured

        draw = Image.fromarray if self.palette is None else coloured
        image = draw(np.array(self.values, np.uint8)[labels])
        stream = io.BytesIO()
        image.save(stream, "PNG")
        return stream.getvalue()

    def classes(self, stored: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
        """What stands in a PNG -> class indices. Raises DataError for a value of no class."""
        known = np.isin(stored, self.values)
        if not known.all():
            raise DataError(f"a pixel of {int(stored[~known][0])}, expected {self.range}")
        lookup = np.zeros(256, np.uint8)
        lookup[list(self.values)] = np.arange(len(self.values))
        return lookup[stored]

    @property
    def range(self) -> str:
        """The values in words."""
        low, high = min(self.values), max(self.values)
        if len(self.values) == high - low + 1:
            return f"{low}..{high}"
        return f"one of {', '.join(map(str, sorted(self.values)))}"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "values": list(self.values), "palette": self.palette}


def encoding_of(data: DataIdentity, form: Form = "official") -> Encoding:
    """The dataset's official encoding, or the class indices of training with VOC's palette.

    Raises ConfigError where no label on disk stands for a class.
    """
    if form == "train-ids":
        return train_ids(data.classes)
    lookup = label_lookup(data)
    values = [np.flatnonzero(lookup == index) for index in range(data.classes)]
    if nameless := [index for index, found in enumerate(values) if not found.size]:
        raise ConfigError(
            f"dataset {data.name}: `label_map` leaves no label on disk for class {nameless[0]}, so "
            "it cannot be written as the dataset's own; use --encoding train-ids"
        )
    name = BENCHMARKS.get(data.layout, f"{data.layout} label values")
    palette = PALETTE if data.layout in WITH_PALETTE else None
    return Encoding(name, tuple(int(found[0]) for found in values), palette)


def train_ids(classes: int) -> Encoding:
    return Encoding(TRAIN_IDS, tuple(range(classes)), PALETTE)


def encoding_from(manifest: Mapping[str, Any], classes: int) -> Encoding:
    """That of predictions, from their manifest; without an entry they are older, with train ids.

    Raises DataError for an entry that is none.
    """
    entry = manifest.get("encoding")
    if entry is None:
        return train_ids(classes)
    try:
        values = tuple(int(value) for value in entry["values"])
        encoding = Encoding(str(entry["name"]), values, entry["palette"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"`encoding` is damaged ({error})") from error
    if len(set(values)) != classes or not all(0 <= value <= 255 for value in values):
        raise DataError(f"`encoding` has no {classes} different values from 0 to 255")
    return encoding
