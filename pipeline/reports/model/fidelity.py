"""`reports/fidelity.json`: ours against recorded outputs of the reference implementations."""

from __future__ import annotations

from pydantic import Field

from pipeline.reports.model.base import ReportPart
from pipeline.results.schemas import is_empty


class Comparison(ReportPart):
    model: str
    what: str
    holds: bool
    error: float
    limit: int | float  # 0: they have to be equal
    measure: str
    source: str  # the recording

    @property
    def name(self) -> str:
        return f"{self.model}: {self.what}"


class Machine(ReportPart):
    processor: str = ""  # not told by the tests
    instructions: str
    threads: int


class Fidelity(ReportPart):
    """What the tests recorded, and what they cannot know."""

    made: Machine
    comparisons: list[Comparison]
    broken: bool = Field(False, exclude_if=is_empty)  # a test ended before it compared

    @property
    def failed(self) -> list[Comparison]:
        return [row for row in self.comparisons if not row.holds]
