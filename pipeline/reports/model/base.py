"""What the models of reports are made of."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from dmnet.files import to_json
from pipeline.results.schemas import Part

Number = Annotated[float, Field(gt=-1e15, lt=1e15)]
Seeds = Annotated[int, Field(ge=1, le=1000)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}$")]


class ReportPart(Part):
    """With texts of `params/`, which may have several lines."""

    lines: ClassVar[bool] = True


class PresetSummary(ReportPart):
    """A preset's own description."""

    name: Name
    title: str
    shows: str


class Preset(PresetSummary):
    judged: bool


def json_of(content: BaseModel) -> str:
    """The file's text."""
    return to_json(content.model_dump(mode="json"))
