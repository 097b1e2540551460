"""What a rule asks for: cores, GPUs, nodes, memory and minutes."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from dmnet.gpus import installed_cuda
from pipeline.cluster.estimates import Estimates
from pipeline.errors import SpecError
from pipeline.spec.cards import Cards
from pipeline.spec.costs import CostsFile
from pipeline.spec.presets import PresetSpec
from pipeline.workflow.jobs import workflow_error


class Resources:
    """At one preset; minutes and memory grow with the attempt."""

    def __init__(self, preset_name: str, preset: PresetSpec, costs: CostsFile) -> None:
        """Raises SpecError where `costs` does not have the GPU that it reckons with."""
        self._preset_name, self._preset, self._costs = preset_name, preset, costs
        self.estimates = Estimates.read(costs, preset.gpus > 0)

    def memory_mb(self, attempt: int) -> int:
        return self.estimates.memory_mb(self._preset.execution, attempt)

    def check_cards(self, rules: Iterable[Any]) -> None:
        """Raises SpecError where jobs can only fail: on a GPU that PyTorch has no code for, or
        with a PyTorch that has none for any.

        rules: Snakemake's, with the resources that a profile gave them.
        """
        if not self._preset.gpus:
            return
        if self._preset.execution.device == "cuda" and installed_cuda() is None:
            raise SpecError(
                f"preset {self._preset_name!r} computes on a GPU, but PyTorch {version('torch')} "
                "has no CUDA; install a wheel with it (docs/gpu.md), or train on the CPU: a preset "
                f"with `extends: {self._preset_name}`, `gpus: 0`, `execution: {{device: cpu}}`"
            )
        cards = Cards(self._costs)
        for rule in rules:
            asked = getattr(rule.resources.get("gpu_model"), "raw", None)
            card = cards.named(asked) if isinstance(asked, str) else None
            if card is not None and (fault := card.fault()):
                raise SpecError(f"rule {rule.name}, gpu_model {asked!r}: {fault}")

    def all_cores(self, snakemake: Any) -> int:
        """What a measurement of time asks for, so that no other job runs beside it.

        Where Snakemake hands jobs to a cluster it has no cores of its own, and a job is alone
        within what the cluster allots it.
        """
        from snakemake.exceptions import WorkflowError  # type: ignore[import-untyped,unused-ignore]

        try:
            return int(snakemake.cores)
        except WorkflowError:
            return self._preset.cpu_threads

    def job_step(self) -> str:
        """How a job of an allocation that many share becomes a job step (profiles/allocation)."""
        processes = self._preset.execution.processes
        if processes > 1:
            raise workflow_error(
                f"preset {self._preset_name!r}: trains in {processes} processes, which an "
                "allocation for many short runs does not pack; use --profile profiles/slurm, or "
                "execution.processes: 1"
            )
        gpus = f"--gpus={self._preset.gpus}" if self._preset.gpus else "--gres=none"
        return f"srun --exact --nodes=1 --ntasks=1 --mem={self.memory_mb(1)} {gpus}"
