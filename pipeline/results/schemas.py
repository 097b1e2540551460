"""What may stand in the files of results, checked where they are read.

A result may come from a colleague by git and DVC, or rot on a disk, and its values go on into
arguments of programs, reports and terminals. So each file is held against its schema first: a
commit is 40 hexadecimal digits, a hash 64, a key 16; numbers are finite and in range; texts are
bounded and without control characters. What a schema does not name may stand there too (earlier and
later versions write other entries), but its texts are checked as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmnet.errors import RunError
from dmnet.files import read_json
from dmnet.text import CONTROL
from pipeline.errors import ResultError
from pipeline.shown import one_line

MAX_TEXT = 4000  # characters; the longest of ours say how a result is made again

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
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


# Where a cell's value comes from (CellResult.source).
CellSource = Literal[
    "official", "trained", "released", "profiled", "cited", "pending", "failed", "absent"
]


def _is_empty(value: object) -> bool:
    return not value


class MadeBy(Part):
    """The code that made something, as a report names it."""

    commit: Commit | None
    modified: bool | None
    diff_sha256: Sha256 | None = Field(None, exclude_if=_is_empty)
    reason: str | None = Field(None, exclude_if=_is_empty)  # why no commit is known


class MeasuredBy(MadeBy):
    cells: list[str]


class Code(Part):
    commit: Commit | None
    modified: bool | None
    diff_sha256: Sha256 | None = None
    reason: str | None = None  # why no commit is known
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
    platform: str | None = None
    cuda: str | None = None


class Acceleration(Part):
    channels_last: bool | None = None
    fused_update: bool | None = None
    tried_convolutions: bool | None = None
    fast_convolutions: Count | None = None


class Execution(Part):
    deterministic: bool | None = None


class Parameters(Part):
    execution: Execution | None = None


class Attempt(Part):
    """At a training, from one iteration to another."""

    code: Code | None = None
    environment: Environment | None = None
    parameters: Parameters | None = None


class Weights(Part):
    """What `train.json` of every run and released checkpoint has."""

    weights: File
    key: Key | None = None


class Trained(Weights):
    """`runs/<key>/train.json` and `finished.json`."""

    iterations: Count
    history: File | None = None
    data_fingerprint: Sha256
    start_weights: Sha256 | None = None
    parent: Key | None = None
    val_miou: Fraction | None = None
    seconds: Seconds | None = None
    repeat: str | None = None
    code: Code
    attempts: list[Attempt] = []
    environment: Environment
    acceleration: Acceleration | None = None
    processes: list[Annotated[int, Field(ge=1, le=2**20)]] = [1]
    bn_parts: Annotated[int, Field(ge=1, le=2**20)] = 1


class PublishedFile(Part):
    name: str
    file: FileName
    sha256: Sha256
    verified: bool
    url: str | None = None


class Released(Weights):
    """`released/<key>/train.json`; nobody knows by which code it was trained."""

    iterations: Count | None = None
    checkpoint: PublishedFile
    environment: Environment | None = None


class Imported(Part):
    """`released/<key>/imported.json`: by which code a checkpoint was imported here."""

    code: Code
    environment: Environment | None = None
    repeat: str | None = None


class _Measured(Part):
    """What was measured or predicted with a run's weights."""

    run: Key
    evaluation_hash: Sha256
    weights_sha256: Sha256
    data_fingerprint: Sha256
    images: Count
    code: Code | None = None
    device: Word | None = None
    form: Literal["plain", "optimised"] | None = None
    tf32: list[Word] | None = None


class Evaluated(_Measured):
    """`runs/<key>/evaluations/<name>.json`. Fractions; None for a class that does not occur."""

    miou: Fraction
    majority_class_miou: Fraction
    pixel_accuracy: Fraction | None = None
    per_class_iou: list[Fraction | None] | None = None
    confusion_matrix: list[list[Count]] | None = None


class Predicted(_Measured):
    """`predictions/<key>/<name>.json`: the label maps, which lie in `folder` beside it."""

    images: Count | None = None  # type: ignore[assignment]
    folder: FileName | None = None  # earlier ones name none
    files: dict[FileName, Sha256]


class Counted(Part):
    """`counts/<key>.json`."""

    profile: Key
    code: Code | None = None
    convolution_weights: Count | None = None
    parameters: Count | None = None
    macs: Count | None = None


class _Precision(Part):
    precision: Word | None = None


class Timed(Part):
    """`speed/<key>.json`."""

    speed: Key
    frames_per_second: Positive
    memory_bytes: Annotated[int, Field(gt=0, lt=2**63)]
    memory_kind: str | None = None
    form: Literal["plain", "optimised"] | None = None
    amp: bool | None = None
    device: Device | None = None
    config: _Precision | None = None
    code: Code | None = None


class Progress(Part):
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


FileT = TypeVar("FileT", bound=BaseModel)


def read_result_file(path: Path, schema: type[BaseModel]) -> Any:
    """The file's content as it stands there, once it has passed.

    Raises RunError for a file that is missing or no JSON, ResultError for one that fails its
    schema.
    """
    return checked(read_json(path), schema, path)


def checked(content: Any, schema: type[BaseModel], path: Path) -> Any:
    """`content`, read from `path`. Raises ResultError where the schema does not hold."""
    if fault := fault_of(content, schema):
        raise ResultError(f"{path}: {fault}; delete the file and run again")
    return content


def fault_of(content: Any, schema: type[BaseModel]) -> str | None:
    """Why the schema does not hold; None where it does."""
    try:
        schema.model_validate(content)
    except ValidationError as error:
        return _problem(error)
    return _fault_of_texts(content, getattr(schema, "lines", False))


def read_if_whole(path: Path, schema: type[FileT]) -> FileT | None:
    """The file by its schema; None where it is missing or damaged, which must hide nothing else."""
    try:
        return schema.model_validate(read_result_file(path, schema))
    except (ResultError, RunError):
        return None


def _problem(error: ValidationError) -> str:
    """The first problem: key, what it has, what was expected."""
    first = error.errors(include_url=False)[0]
    key = one_line(".".join(str(part) for part in first["loc"]), 80) or "the whole file"
    if first["type"] == "missing":
        return f"`{key}` is missing"
    found = one_line(repr(first["input"]), 40)
    return f"`{key}` = {found}: {one_line(first['msg'], 120)}"


def _fault_of_texts(content: Any, lines: bool) -> str | None:
    """Of all keys and values; their depth is bounded, as `read_json` read them."""
    if isinstance(content, str):
        broken = not lines and ("\n" in content or "\t" in content)
        if len(content) > MAX_TEXT or broken or CONTROL.search(content):
            return (
                f"the text {one_line(content, 40)!r} has control characters, or more than "
                f"{MAX_TEXT} characters"
            )
        return None
    parts = [*content.keys(), *content.values()] if isinstance(content, dict) else content
    if not isinstance(parts, list):
        return None
    return next(filter(None, (_fault_of_texts(part, lines) for part in parts)), None)
