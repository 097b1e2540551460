"""What a run is: closed, frozen schemas that own every default. No torch here.

`RunConfig` holds everything that changes the trained weights and nothing else; its hash is the
run key. How a run is executed (workers, how often it saves or validates, where the data lies) is
`ExecutionConfig`, and what is done with the weights afterwards is `InferenceConfig`: both stay
outside the key.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dmnet.errors import ConfigError

# Raise this by one whenever a change to the code changes trained weights: old runs then no longer
# answer for new configurations. tests/dmnet/training/test_golden_losses.py notices such a change.
TRAINING_REVISION = 1
# The same for changes that alter what an evaluation measures on given weights.
EVALUATION_REVISION = 1


class Section(BaseModel):
    """A frozen part of a configuration; an unknown key is an error, as is NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Fields that tell nothing about what is computed and stay out of every hash.
    unhashed: ClassVar[frozenset[str]] = frozenset()


# ---------------------------------------------------------------------------------- the model


class WeightsConfig(Section):
    """Published weights that a backbone starts from, identified by the SHA-256 of the file."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"name", "file", "url"})

    name: str
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")  # a bare name, no folder
    url: str
    sha256_prefix: str = Field(min_length=8)


class ResNetConfig(Section):
    name: Literal["resnet"] = "resnet"
    depth: Literal[50, 101] = 50
    stem: Literal["plain", "deep"] = "plain"  # one 7x7 convolution, or three 3x3 (ResNetV1c)
    output_stride: Literal[8, 16] = 8
    width: int = Field(64, ge=4, multiple_of=4)  # channels after the stem; 64 is the published one
    weights: WeightsConfig | None = None


class DMNetHeadConfig(Section):
    """Context-aware filters: one Dynamic Convolutional Module per kernel size."""

    name: Literal["dmnet"] = "dmnet"
    channels: int = Field(512, ge=4)
    kernel_sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 3, 5, 7), min_length=1)
    fusion: bool = True  # the 1x1 convolution after the dynamic one, section 3.2
    context_stage: Literal[2, 3, 4, 5] = 5  # whose features generate the filters, Table 4
    dropout: float = Field(0.1, ge=0, lt=1)


class MultiKernelHeadConfig(Section):
    """Table 1's traditional filters: fixed k x k convolutions, regular or depthwise."""

    name: Literal["multi_kernel"] = "multi_kernel"
    channels: int = Field(512, ge=4)
    kernel_sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 3, 5, 7), min_length=1)
    depthwise: bool = False
    fusion: bool = True
    dropout: float = Field(0.1, ge=0, lt=1)


class DilatedHeadConfig(Section):
    """Table 2's dilated filters: 3 x 3 convolutions, one dilation rate per branch."""

    name: Literal["dilated"] = "dilated"
    channels: int = Field(512, ge=4)
    dilations: tuple[Annotated[int, Field(ge=1)], ...] = Field((6, 12, 24, 36), min_length=1)
    depthwise: bool = False
    fusion: bool = True
    dropout: float = Field(0.1, ge=0, lt=1)


class FCNHeadConfig(Section):
    """Convolutions and a classifier; with one 3x3 convolution it is DMNet without its DCMs."""

    name: Literal["fcn"] = "fcn"
    channels: int = Field(512, ge=4)
    convolutions: int = Field(1, ge=0)
    concat_input: bool = False
    dropout: float = Field(0.1, ge=0, lt=1)


HeadConfig = Annotated[
    DMNetHeadConfig | MultiKernelHeadConfig | DilatedHeadConfig | FCNHeadConfig,
    Field(discriminator="name"),
]


class AuxiliaryConfig(Section):
    """Deep supervision: a second head on an earlier stage, during training only."""

    head: HeadConfig
    stage: Literal[2, 3, 4, 5] = 4  # the paper's numbering: stage 5 is the last of ResNet
    weight: float = Field(0.4, gt=0)


class ModelConfig(Section):
    backbone: ResNetConfig
    head: HeadConfig
    auxiliary: AuxiliaryConfig | None = None
    align_corners: bool = False


# ----------------------------------------------------------------------------------- the data


class ArchiveConfig(Section):
    """A file that the user obtains; `md5` is the checksum its publisher or torchvision states."""

    file: str
    url: str
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


# --------------------------------------------------------------------------------- the recipe


Positive = Annotated[float, Field(gt=0)]


class RecipeConfig(Section):
    """How the weights are trained. Images are 8-bit RGB; sizes are (height, width) in pixels."""

    optimizer: Literal["sgd"] = "sgd"
    lr: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    power: float = Field(0.9, gt=0)
    min_lr: float = Field(0.0, ge=0)
    iterations: int = Field(ge=1)
    batch_size: int = Field(ge=1)  # the total over all devices
    crop_size: tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]]
    load_scale: float = Field(1.0, gt=0, le=1)  # photographs are shrunk by this when loaded
    scale_range: tuple[float, float] = (0.5, 2.0)
    flip: float = Field(0.5, ge=0, le=1)  # probability of a horizontal mirror image
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[Positive, Positive, Positive] = (58.395, 57.12, 57.375)
    sync_bn: bool = True  # with one process, plain batch normalisation
    precision: Literal["fp32", "amp"] = "fp32"  # amp: autocast where the device has it

    @model_validator(mode="after")
    def _ranges(self) -> RecipeConfig:
        low, high = self.scale_range
        if not 0 < low <= high:
            raise ValueError("scale_range must be [low, high] with 0 < low <= high")
        return self


class RunConfig(Section):
    """One training run, fully resolved. Its `key` addresses the run in every table."""

    revision: int = TRAINING_REVISION
    model: ModelConfig
    data: DataIdentity
    recipe: RecipeConfig
    parent: str | None = None  # key of the run whose final weights this one starts from
    seed: int = Field(0, ge=0)
    cpu_threads: int = Field(1, ge=1)  # on the CPU it changes the order of sums, so it counts

    @property
    def key(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON (sorted keys, no spaces)."""
        return content_hash(self)[:16]


class ExecutionConfig(Section):
    """How a run is carried out; none of it may change a weight."""

    workers: int = Field(0, ge=0)  # loader processes; 0 decodes in the training process
    checkpoint_every: int = Field(ge=1)  # iterations
    validate_every: int = Field(ge=1)
    log_every: int = Field(ge=1)
    cache_mib: int = Field(0, ge=0)  # decoded images kept in memory, per process


class InferenceConfig(Section):
    """How a trained model is applied to an image of any size. Sizes are (height, width)."""

    mode: Literal["whole", "slide"] = "whole"
    window: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    stride: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    flip: bool = False  # the mirror image as well
    scales: tuple[Annotated[float, Field(gt=0)], ...] = Field((1.0,), min_length=1)
    average: Literal["probabilities", "logits"] = "probabilities"

    @model_validator(mode="after")
    def _windows(self) -> InferenceConfig:
        if (self.mode == "slide") != (self.window is not None and self.stride is not None):
            raise ValueError("`window` and `stride` go with mode slide, and slide needs both")
        if (
            self.window
            and self.stride
            and any(step > side for step, side in zip(self.stride, self.window, strict=True))
        ):
            raise ValueError("`stride` must not be larger than `window`: pixels would be left out")
        return self


class JobConfig(Section):
    """The file `config.json` of a run: everything `python -m dmnet train` needs."""

    run: RunConfig
    dataset: DatasetConfig
    execution: ExecutionConfig

    @model_validator(mode="after")
    def _same_data(self) -> JobConfig:
        roles: list[DatasetRole] = [role for role in self.dataset.splits if role != "test"]
        if self.run.data not in [self.dataset.identity_of(role) for role in roles]:
            raise ValueError("`dataset` and `run.data` describe different datasets")
        return self


class ProfileConfig(Section):
    """The cost of a model's multi-scale module at one input size. Needs no weights."""

    revision: int = 1  # raise it when something else is counted
    model: ModelConfig
    input_size: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]


class EvaluationConfig(Section):
    """One evaluation of a run: which protocol, on which split, at which loaded size."""

    revision: int = EVALUATION_REVISION
    inference: InferenceConfig
    split: str
    data: DataIdentity
    load_scale: float = 1.0


# --------------------------------------------------------------------------- hashes and errors


ALWAYS_HASHED = frozenset({"name", "revision"})


def canonical_json(value: Section) -> str:
    """Sorted keys, no spaces, and without fields that have their default value.

    So a new field whose default means what was done before leaves every old key as it is. Names
    (which tell one head from another) and revisions always stand in it. Changing the default of an
    existing field changes what old keys mean: raise TRAINING_REVISION then.
    """
    return json.dumps(_essential(value), sort_keys=True, separators=(",", ":"))


def _essential(value: Any) -> Any:
    if isinstance(value, Section):
        fields = type(value).model_fields
        present = {name: getattr(value, name) for name in fields}
        return {
            name: _essential(entry)
            for name, entry in present.items()
            if name not in type(value).unhashed
            and (name in ALWAYS_HASHED or entry != fields[name].default)
        }
    if isinstance(value, dict):
        return {str(key): _essential(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_essential(entry) for entry in value]
    return value


def content_hash(value: Section) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


SHOWN_LENGTH = 80  # characters of a wrong value in an error

SectionT = TypeVar("SectionT", bound=BaseModel)


def parse(schema: type[SectionT], value: Any, where: str) -> SectionT:
    """Validate `value`; raise ConfigError with one line that names `where`, the key and the fix."""
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise ConfigError(f"{where}: {describe(error)}") from None


def describe(error: ValidationError) -> str:
    """The most telling problem of a pydantic error in one line: key, what came, what to do.

    A misspelt key before the missing one; where several types are allowed, the deepest problem,
    which belongs to the type that was meant.
    """
    problem = max(
        error.errors(include_url=False),
        key=lambda found: (found["type"] == "extra_forbidden", len(found["loc"])),
    )
    parts = [str(part) for part in problem["loc"]]
    key = ".".join(part for part in parts if not part.endswith("Spec")) or "the whole file"
    rest = "" if error.error_count() == 1 else f" (and {error.error_count() - 1} more)"
    if problem["type"] == "extra_forbidden":
        return f"unknown key `{key}`; remove it or correct its spelling{rest}"
    if problem["type"] == "missing":
        return f"key `{key}` is missing; add it{rest}"
    if problem["type"] == "union_tag_invalid":
        tags = problem["ctx"]["expected_tags"]
        return f"`{key}`: unknown name {problem['ctx']['tag']!r}; expected one of {tags}{rest}"
    message = problem["msg"].removeprefix("Value error, ")
    shown = repr(problem["input"])
    shown = shown if len(shown) <= SHOWN_LENGTH else f"{shown[:SHOWN_LENGTH]}..."
    return f"`{key}` = {shown}: {message}{rest}"
