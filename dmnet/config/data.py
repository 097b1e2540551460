"""The data that a run learns from: a dataset on disk, and the part of it that changes weights."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from dmnet.config.published import Address
from dmnet.config.sections import Section


class ArchiveConfig(Section):
    """A file that the user obtains; `md5` is the checksum its publisher or torchvision states."""

    file: str
    url: Address
    md5: str | None = None


class GenerateConfig(Section):
    """A procedural stand-in, written in the real archives' format."""

    seed: int = 0
    revision: int = 1  # raise it when the generator draws other images from the same seed
    images: dict[str, Annotated[int, Field(ge=1)]]  # split name -> number of images
    height: int = Field(ge=16)
    width: int = Field(ge=16)


Label = Annotated[int, Field(ge=0, le=255)]  # what an 8-bit label image can hold

# What a split is used for: `original` is VOC's own train set, which fine-tuning goes back to.
SplitRole = Literal["train", "val", "original", "trainval"]
# `test` has images and no labels: nothing is trained or measured on it, only predicted.
DatasetRole = SplitRole | Literal["test"]


class DatasetConfig(Section):
    """A dataset on disk: which preparation reads it, its classes and its splits."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"photograph"})

    name: str
    title: str
    layout: Literal[
        "voc2012aug", "voc2012_test", "camvid", "pascal_context", "ade20k", "cityscapes"
    ]
    classes: tuple[str, ...] = Field(min_length=2)
    ignore_index: Label = 255
    label_map: dict[Label, Label] = {}  # label on disk -> label in training; others stay
    splits: dict[DatasetRole, str]
    counts: dict[str, Annotated[int, Field(ge=1)]] = {}  # split name -> images it must have
    archives: tuple[ArchiveConfig, ...] = ()
    generate: GenerateConfig | None = None
    # (height, width) of a typical photograph, which speed is measured on; drawn ones have one size.
    photograph: tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> DatasetConfig:
        valid = {*range(len(self.classes)), self.ignore_index}
        if self.ignore_index < len(self.classes):
            raise ValueError(f"`ignore_index` {self.ignore_index} is also a class")
        for on_disk, label in self.label_map.items():
            if label not in valid:
                raise ValueError(
                    f"`label_map` sends {on_disk} to {label}, which is neither a class "
                    f"(0 to {len(self.classes) - 1}) nor `ignore_index`"
                )
        if not {"train", "val"} <= set(self.splits) and set(self.splits) != {"test"}:
            raise ValueError("`splits` needs at least `train` and `val`, or nothing but `test`")
        return self

    @property
    def identity(self) -> DataIdentity:
        """What changes weights trained on the training split."""
        return self.identity_of("train")

    def require_trained_on(self, data: DataIdentity) -> None:
        """Raises ValueError where no training on this dataset has these data."""
        if data not in [self.identity_of(role) for role in self.splits if role != "test"]:
            raise ValueError("`dataset` and `run.data` describe different datasets")

    def identity_of(self, role: DatasetRole) -> DataIdentity:
        """The same for the split with another role. KeyError when the dataset has none."""
        return DataIdentity(
            name=self.name,
            layout=self.layout,
            classes=len(self.classes),
            ignore_index=self.ignore_index,
            label_map=self.label_map,
            split=self.splits[role],
            generate=self.generate,
        )


class DataIdentity(Section):
    """The part of a dataset that changes trained weights. Class names, for one, do not."""

    name: str
    layout: str
    classes: int
    ignore_index: int
    label_map: dict[int, int]
    split: str
    generate: GenerateConfig | None
