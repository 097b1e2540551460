"""What a job asks a cluster's queue for: minutes and memory, from `params/costs.yaml`.

Each cluster job parses the workflow and evaluates this anew, so nothing here imports torch: the
arithmetic is bounded by FLOPs per pixel, which `python -m pipeline plan` counts exactly. Too small
a request does not lose work, as every next attempt asks for more and training goes on where it
stopped; too large a one waits longer in the queue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from dmnet.config import RunConfig
from dmnet.config.jobs import ExecutionConfig
from dmnet.config.sections import Section, parse
from pipeline.errors import SpecError
from pipeline.spec.cards import usual_card
from pipeline.spec.costs import Costs

# Of the backbones whose FLOPs per pixel the file gives; BiSeNetV2's detail branch begins as wide.
PUBLISHED_WIDTH, PUBLISHED_STRIDE = 64, 8


class RequestsSpec(Section):
    """The section `requests` of params/costs.yaml."""

    mflops_per_pixel: dict[str, float]
    margin: float = Field(ge=1)
    minutes_at_least: int = Field(ge=1)
    minutes_at_most: int = Field(ge=1)
    evaluation_part: float = Field(gt=0)
    released_minutes: int = Field(ge=1)
    cpu_base_mb: int = Field(ge=1)
    gpu_base_mb: int = Field(ge=1)
    worker_mb: int = Field(ge=0)


@dataclass(frozen=True)
class Requests:
    """For jobs on one kind of device."""

    spec: RequestsSpec
    costs: Costs
    base_mb: int

    @classmethod
    def read(cls, content: dict[str, Any], on_gpu: bool) -> Requests:
        """`content`: params/costs.yaml. Raises SpecError or ConfigError, naming the key."""
        spec = parse(RequestsSpec, content.get("requests", {}), "params/costs.yaml, `requests`")
        costs = usual_card(content).costs(content) if on_gpu else Costs.of_a_cpu(content)
        return cls(spec, costs, spec.gpu_base_mb if on_gpu else spec.cpu_base_mb)

    def training_seconds(self, run: RunConfig) -> float:
        """An estimate from above, without the margin."""
        recipe, backbone = run.recipe, run.model.backbone
        if backbone.name == "resnet":
            kind, coarser = f"resnet{backbone.depth}", backbone.output_stride / PUBLISHED_STRIDE
            scale = (backbone.width / PUBLISHED_WIDTH / coarser) ** 2
        else:
            kind = backbone.name
            scale = (backbone.detail_channels[0] / PUBLISHED_WIDTH) ** 2
        if kind not in self.spec.mflops_per_pixel:
            raise SpecError(
                f"params/costs.yaml: requests.mflops_per_pixel has no {kind}; add an upper bound "
                "of its forward MFLOPs per pixel of the crop"
            )
        per_pixel = 1e6 * self.spec.mflops_per_pixel[kind] * scale
        height, width = recipe.crop_size
        return self.costs.training_seconds(recipe, per_pixel * height * width)

    def training_minutes(self, run: RunConfig, attempt: int) -> int:
        return self._minutes(self.training_seconds(run), attempt)

    def evaluation_minutes(self, run: RunConfig, attempt: int) -> int:
        """Of one protocol, and of predicting."""
        seconds = self.training_seconds(run) * self.spec.evaluation_part
        return self._minutes(seconds, attempt)

    def released_minutes(self, attempt: int) -> int:
        """Of evaluating a released checkpoint by one protocol."""
        return attempt * self.spec.released_minutes

    def memory_mb(self, execution: ExecutionConfig, attempt: int) -> int:
        """Of the machine, not of the GPU: the process, its loader's workers, their caches."""
        loaders = max(1, execution.workers)
        workers = execution.workers * self.spec.worker_mb
        return attempt * (self.base_mb + workers + loaders * execution.cache_mib)

    def _minutes(self, seconds: float, attempt: int) -> int:
        minutes = math.ceil(attempt * self.spec.margin * seconds / 60)
        at_least = attempt * self.spec.minutes_at_least
        return min(max(minutes, at_least), self.spec.minutes_at_most)
