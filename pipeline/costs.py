"""How fast the device of a preset is taken to be: what plans and requests are reckoned with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.errors import SpecError


@dataclass(frozen=True)
class Costs:
    """`params/costs.yaml`: how fast the device of a preset is taken to be."""

    title: str
    flops_per_second: float
    fixed_seconds: float
    per_job_seconds: float

    @classmethod
    def read(cls, content: dict[str, Any], device: str) -> Costs:
        try:
            speed = content[device]
            return cls(
                str(speed["title"]),
                float(speed["flops_per_second"]),
                float(speed["fixed_seconds"]),
                float(content["per_job_seconds"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SpecError(
                f"params/costs.yaml: `{device}` needs title, flops_per_second and fixed_seconds, "
                f"and the file per_job_seconds ({error!r})"
            ) from error
