"""`reports/claims.json`: what the paper claims, and whether it holds on its numbers and on ours."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, JsonValue, RootModel

from pipeline.reports.model.base import Number, ReportPart
from pipeline.results.schemas import Count

Total = Annotated[float, Field(gt=-1e25, lt=1e25)]  # of many numbers, and its bounds
# An end is None where nothing bounds it. JSON has lists only.
Bounds = Annotated[tuple[Total | None, Total | None], Field(strict=False)]


class Judgement(ReportPart):
    """What can be said of one claim on one side; points of mIoU or IoU, or the table's unit."""

    status: str
    margin: Total | None = None  # of the numbers as they are printed
    interval: Bounds | None = None  # of the true margin; None on the paper's side
    confidence: Number | None = None  # of each bound
    seeds: Count | None = None
    remark: str | None = None


class CellOfClaim(ReportPart):
    cell: str
    published: Number
    ours: Number | None
    source: str


class JudgedClaim(ReportPart):
    claim: str
    says: str
    where: str
    predicate: dict[str, JsonValue] | None = None
    reading: str | None
    bold: bool
    note: str | None
    paper: Judgement
    ours: Judgement
    cells: list[CellOfClaim] = []
    quoted: dict[str, list[Number]] = {}  # a name as written -> the numbers it stands for


class Claims(RootModel[list[JudgedClaim]]):
    lines: ClassVar[bool] = True
