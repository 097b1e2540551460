"""How fast a device is taken to be: what plans and requests are reckoned with."""

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
    source: str = ""

    @classmethod
    def of_a_cpu(cls, content: dict[str, Any]) -> Costs:
        """Those of GPUs are `pipeline.spec.cards`'."""
        try:
            speed = content["cpu"]
            return cls.of(
                content,
                str(speed["title"]),
                float(speed["flops_per_second"]),
                float(speed["fixed_seconds"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SpecError(
                "params/costs.yaml: `cpu` needs title, flops_per_second and fixed_seconds, "
                f"and the file per_job_seconds ({error!r})"
            ) from error

    @classmethod
    def of(
        cls, content: dict[str, Any], title: str, rate: float, fixed: float, source: str = ""
    ) -> Costs:
        try:
            return cls(title, rate, fixed, float(content["per_job_seconds"]), source)
        except (KeyError, TypeError, ValueError) as error:
            raise SpecError(f"params/costs.yaml: needs per_job_seconds ({error!r})") from error
