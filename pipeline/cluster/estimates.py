"""What a job asks a cluster's queue for: minutes and memory, from `params/costs.yaml`.

Each cluster job parses the workflow and evaluates this anew, so nothing here imports torch: the
arithmetic is bounded by FLOPs per pixel, which `python -m pipeline plan` counts exactly. Too small
a request does not lose work, as every next attempt asks for more and training goes on where it
stopped; too large a one waits longer in the queue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dmnet.config import RunConfig
from dmnet.config.jobs import ExecutionConfig
from pipeline.errors import SpecError
from pipeline.spec.cards import Cards
from pipeline.spec.costs import CostsFile, DeviceSpeed

# Of the backbones whose FLOPs per pixel the file gives; BiSeNetV2's detail branch begins as wide.
PUBLISHED_WIDTH, PUBLISHED_STRIDE = 64, 8


@dataclass(frozen=True)
class Estimates:
    """For jobs on one kind of device."""

    costs: CostsFile
    device: DeviceSpeed
    base_mb: int

    @classmethod
    def read(cls, costs: CostsFile, on_gpu: bool) -> Estimates:
        """Raises SpecError where the file does not have the GPU that it reckons with."""
        if on_gpu:
            return cls(costs, Cards(costs).usual.spec, costs.requests.gpu_base_mb)
        return cls(costs, costs.cpu, costs.requests.cpu_base_mb)

    def training_seconds(self, run: RunConfig) -> float:
        """An upper estimate, without the margin."""
        recipe, backbone = run.recipe, run.model.backbone
        if backbone.name == "resnet":
            kind, coarser = f"resnet{backbone.depth}", backbone.output_stride / PUBLISHED_STRIDE
            scale = (backbone.width / PUBLISHED_WIDTH / coarser) ** 2
        else:
            kind = backbone.name
            scale = (backbone.detail_channels[0] / PUBLISHED_WIDTH) ** 2
        if kind not in self.costs.requests.mflops_per_pixel:
            raise SpecError(
                f"params/costs.yaml: requests.mflops_per_pixel has no {kind}; add an upper bound "
                "of its forward MFLOPs per pixel of the crop"
            )
        per_pixel = 1e6 * self.costs.requests.mflops_per_pixel[kind] * scale
        height, width = recipe.crop_size
        return self.costs.training_seconds(self.device, recipe, per_pixel * height * width)

    def training_minutes(self, run: RunConfig, attempt: int) -> int:
        return self._minutes(self.training_seconds(run), attempt)

    def evaluation_minutes(self, run: RunConfig, attempt: int) -> int:
        """Of one protocol, and of predicting."""
        seconds = self.training_seconds(run) * self.costs.requests.evaluation_part
        return self._minutes(seconds, attempt)

    def released_minutes(self, attempt: int) -> int:
        """Of evaluating a released checkpoint by one protocol."""
        return attempt * self.costs.requests.released_minutes

    def memory_mb(self, execution: ExecutionConfig, attempt: int) -> int:
        """Of the machine, not of the GPU: the process, its loader's workers, their caches."""
        loaders = max(1, execution.workers)
        workers = execution.workers * self.costs.requests.worker_mb
        return attempt * (self.base_mb + workers + loaders * execution.cache_mib)

    def _minutes(self, seconds: float, attempt: int) -> int:
        minutes = math.ceil(attempt * self.costs.requests.margin * seconds / 60)
        at_least = attempt * self.costs.requests.minutes_at_least
        return min(max(minutes, at_least), self.costs.requests.minutes_at_most)
