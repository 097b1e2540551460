"""What a job asks for: cores, GPUs, nodes, memory and minutes."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from dmnet.gpus import installed_cuda
from pipeline.cluster.requests import Requests
from pipeline.errors import PipelineError, SpecError
from pipeline.spec.cards import Cards
from pipeline.spec.costs import CostsFile
from pipeline.spec.presets import PresetSpec
from pipeline.workflow.errors import workflow_error
from pipeline.workflow.jobs import Jobs


class Resources:
    """At one preset; minutes and memory grow with the attempt."""

    def __init__(self, preset_name: str, preset: PresetSpec, costs: CostsFile, jobs: Jobs) -> None:
        """Raises SpecError where `costs` does not have the GPU that it reckons with."""
        self._preset_name, self._preset, self._jobs = preset_name, preset, jobs
        self._costs = costs
        self._requests = Requests.read(costs, self.gpus > 0)

    @property
    def cpu_threads(self) -> int:
        return self._preset.cpu_threads

    @property
    def gpus(self) -> int:
        return self._preset.gpus

    @property
    def nodes(self) -> int:
        return self._preset.execution.nodes

    @property
    def training_threads(self) -> int:
        """Of all processes of a training on one node."""
        return self.cpu_threads * self._processes_on_a_node

    @property
    def training_gpus(self) -> int:
        """One for each of a training's processes; evaluations have `gpus`."""
        return self.gpus and self._processes_on_a_node * self.nodes

    @property
    def _processes_on_a_node(self) -> int:
        return self._preset.execution.processes // self.nodes

    def training_minutes(self, key: str, attempt: int) -> int:
        return self._requests.training_minutes(self._jobs.run(key).job.run, attempt)

    def evaluation_minutes(self, key: str, attempt: int) -> int:
        return self._requests.evaluation_minutes(self._jobs.run(key).job.run, attempt)

    def released_minutes(self, attempt: int) -> int:
        return self._requests.released_minutes(attempt)

    def memory_mb(self, attempt: int) -> int:
        return self._requests.memory_mb(self._preset.execution, attempt)

    def check_cards(self, rules: Iterable[Any]) -> None:
        """Raises SpecError where jobs could not but fail: on a GPU that PyTorch has no code for, or
        with a PyTorch that has none for any.

        rules: Snakemake's, with what a profile made of their resources.
        """
        if not self.gpus:
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
            return self.cpu_threads

    def job_step(self) -> str:
        """How a job of an allocation that many share becomes a job step (profiles/allocation)."""
        processes = self._preset.execution.processes
        if processes > 1:
            raise workflow_error(
                PipelineError(
                    f"preset {self._preset_name!r}: trains in {processes} "
                    "processes, which an allocation for many short runs does not pack; use "
                    "--profile profiles/slurm, or execution.processes: 1"
                )
            )
        gpus = f"--gpus={self.gpus}" if self.gpus else "--gres=none"
        return f"srun --exact --nodes=1 --ntasks=1 --mem={self.memory_mb(1)} {gpus}"
