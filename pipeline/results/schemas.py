"""What the files of results hold, a model for each kind of file.

A commit is 40 hexadecimal digits, a hash 64, a key 16; numbers are finite and in range. What a
model does not name may stand there too: earlier and later versions write other entries.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipeline import paths

Key = Annotated[str, Field(pattern=f"^{paths.KEY}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
FileName = Annotated[str, Field(pattern=r"^[^/\\.\x00-\x1f-][^/\\\x00-\x1f]{0,254}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, lt=1e15)]
Seconds = Annotated[float, Field(ge=0, lt=1e10)]


class Part(BaseModel):
    """A part of a file; `lines`: whether its texts may have several."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)
    lines: ClassVar[bool] = False


class File(Part):
    file: FileName  # in the folder of what names it
    sha256: Sha256


# Where a cell's value comes from (CellResult.outcome).
CellOutcome = Literal[
    "official", "trained", "released", "profiled", "cited", "pending", "failed", "absent"
]


def is_empty(value: object) -> bool:
    """What a file leaves out: no entry stands there for nothing."""
    return not value


class MadeBy(Part):
    """The code that made something, as a report names it."""

    commit: Commit | None
    modified: bool | None
    diff_sha256: Sha256 | None = Field(None, exclude_if=is_empty)
    reason: str | None = Field(None, exclude_if=is_empty)  # why no commit is known


class MeasuredBy(MadeBy):
    cells: list[str]


class Code(MadeBy):
    """The same as dmnet/checkout.py records it."""

    sha256: Sha256 | None = None  # of the files of dmnet/
    changed: bool | None = None  # files of dmnet/, while it was at work


class Device(Part):
    type: Word
    name: str | None = None
    tf32: list[Word] | None = None
    threads: Count | None = None


class Processor(Part):
    name: str | None = None
    instructions: str | None = None
    cores: Count | None = None
    threads: Count | None = None


class Environment(Part):
    device: Device
    processor: Processor | None = None
    packages: dict[str, str] | None = None
    python: str | None = None
    cuda: str | None = None


class Acceleration(Part):
    channels_last: bool | None = None
    fused_update: bool | None = None
    tried_convolutions: bool | None = None
    fast_convolutions: Count | None = None


class Execution(Part):
    deterministic: bool | None = None


class Parameters(Part):
    execution: Execution = Execution()


class Attempt(Part):
    """At a training, from one iteration to another."""

    begin: Count | None = Field(None, alias="from")
    end: Count | None = Field(None, alias="to")
    code: Code | None = None
    environment: Environment | None = None
    parameters: Parameters | None = None


class Made(Part):
    """What code made, in several attempts if it is a training; earlier results name no code."""

    code: Code | None = None
    attempts: list[Attempt] = []

    @property
    def codes(self) -> list[Code | None]:
        """Of each attempt."""
        return [attempt.code for attempt in self.attempts] or [self.code]


class Weights(Made):
    """What `train.json` of every run and released checkpoint has."""

    weights: File
    history: File | None = None
    key: Key | None = None
    environment: Environment | None = None


class Trained(Weights):
    """`runs/<key>/train.json` and `finished.json`."""

    iterations: Count
    data_fingerprint: Sha256
    start_weights: Sha256 | None = None
    val_miou: Fraction | None = None
    seconds: Seconds | None = None
    repeat: str | None = None
    code: Code
    environment: Environment
    acceleration: Acceleration | None = None
    processes: list[Annotated[int, Field(ge=1, le=2**20)]] = [1]
    bn_parts: Annotated[int, Field(ge=1, le=2**20)] = 1


class PublishedCheckpoint(File):
    name: str
    verified: bool
    url: str | None = None


class Released(Weights):
    """`released/<key>/train.json`; nobody knows by which code it was trained."""

    checkpoint: PublishedCheckpoint


class Imported(Part):
    """`released/<key>/imported.json`: by which code a checkpoint was imported here."""

    code: Code
    repeat: str | None = None


class _WithWeights(Made):
    """What was measured or predicted with a run's weights."""

    run: Key
    evaluation_hash: Sha256
    weights_sha256: Sha256
    data_fingerprint: Sha256
    device: Word | None = None
    form: Literal["plain", "optimised"] | None = None
    tf32: list[Word] | None = None


class Evaluated(_WithWeights):
    """`runs/<key>/evaluations/<name>.json`. Fractions; None for a class that does not occur."""

    images: Count
    evaluation: dict[str, JsonValue] = {}  # an EvaluationConfig of the version that measured
    miou: Fraction
    majority_class_miou: Fraction
    pixel_accuracy: Fraction | None
    per_class_iou: list[Fraction | None]
    confusion_matrix: list[list[Count]]


class Predicted(_WithWeights):
    """`predictions/<key>/<name>.json`: the label maps, which lie in `folder` beside it."""

    folder: FileName | None = None  # earlier ones name none
    encoding: JsonValue = None  # what dmnet/inference/encoding.py reads
    files: dict[FileName, Sha256]


class MeasurementFile(Made):
    """What needs no training."""

    key: Key  # of the configuration, and the file's name
    config: dict[str, JsonValue] = {}  # of the version that measured


class Counted(MeasurementFile):
    """`counts/<key>.json`."""

    key: Key = Field(alias="profile")
    convolution_weights: Count | None = None
    parameters: Count | None = None
    macs: Count | None = None

    def number(self, measure: Literal["convolution_weights", "parameters", "macs"]) -> int | None:
        counts = {
            "convolution_weights": self.convolution_weights,
            "parameters": self.parameters,
            "macs": self.macs,
        }
        return counts[measure]


class Timed(MeasurementFile):
    """`speed/<key>.json`."""

    key: Key = Field(alias="speed")
    frames_per_second: Positive
    memory_bytes: Annotated[int, Field(gt=0, lt=2**63)]
    memory_kind: str | None = None
    form: Literal["plain", "optimised"] | None = None
    amp: bool | None = None
    device: Device | None = None

    def number(self, measure: Literal["frames_per_second", "memory"]) -> float:
        """In the zoos' units: their gigabytes are 2^30 bytes."""
        return round(
            self.memory_bytes / 2**30 if measure == "memory" else self.frames_per_second, 4
        )


class TrainingProgress(Part):
    """`runs/<key>/progress.json` of a run that trains or was interrupted."""

    iteration: Count
    eta_seconds: Seconds
    val_miou: Fraction | None


class HistoryRow(Part):
    """A line of `runs/<key>/history.jsonl`, which `read_history` has checked; other numbers may
    stand there, too."""

    iteration: int
    loss: float | None = None
    loss_auxiliary: float | None = None
    loss_main: float | None = None
    lr: float | None = None
    val_miou: float | None = None
