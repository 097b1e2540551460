"""How fast a device is taken to be: what plans and requests are reckoned with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dmnet.config import RecipeConfig
from pipeline.errors import SpecError


@dataclass(frozen=True)
class Costs:
    """`params/costs.yaml`: how fast the device of a preset is taken to be."""

    title: str
    flops_per_second: float
    fixed_seconds: float
    per_job_seconds: float
    source: str = ""

    def training_seconds(self, recipe: RecipeConfig, flops: float) -> float:
        """On one device: iterations x (fixed + three forward passes' worth of arithmetic).

        flops: of one image's forward pass.
        """
        iteration = self.fixed_seconds + 3 * flops * recipe.batch_size / self.flops_per_second
        return recipe.iterations * iteration + self.per_job_seconds

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
