"""`params/costs.yaml`: what plans and requests to a cluster use; no report does."""

from __future__ import annotations

from pydantic import Field

from dmnet.config import RecipeConfig, Section


class DeviceSpeed(Section):
    """How fast a training is taken to be."""

    title: str
    flops_per_second: float = Field(gt=0)
    fixed_seconds: float = Field(ge=0)  # of every iteration


class CardSpec(DeviceSpeed):
    """A GPU's."""

    capability: str = Field(pattern=r"^\d+\.\d$")  # NVIDIA's "compute capability"
    memory_gib: float = Field(gt=0)  # of the smallest that is sold
    source: str  # where the speed is from, and whether it was measured


class RequestsSpec(Section):
    """What jobs ask a cluster for."""

    mflops_per_pixel: dict[str, float]
    margin: float = Field(ge=1)
    minutes_at_least: int = Field(ge=1)
    minutes_at_most: int = Field(ge=1)
    evaluation_part: float = Field(gt=0)
    released_minutes: int = Field(ge=1)
    cpu_base_mb: int = Field(ge=1)
    gpu_base_mb: int = Field(ge=1)
    worker_mb: int = Field(ge=0)


class CostsFile(Section):
    cpu: DeviceSpeed
    cards: dict[str, CardSpec]
    gpu: str  # of `cards`: what is reckoned with where none is known
    per_job_seconds: float = Field(ge=0)
    requests: RequestsSpec

    def training_seconds(self, device: DeviceSpeed, recipe: RecipeConfig, flops: float) -> float:
        """On one device: iterations x (fixed + three forward passes' worth of arithmetic).

        flops: of one image's forward pass.
        """
        arithmetic = 3 * flops * recipe.batch_size / device.flops_per_second
        return recipe.iterations * (device.fixed_seconds + arithmetic) + self.per_job_seconds
