"""What a job asks for."""

from __future__ import annotations

import pytest
from snakemake.exceptions import WorkflowError

from pipeline.experiments import PARAMS
from pipeline.specs import Params
from pipeline.workflow.invocation import Invocation
from pipeline.workflow.jobs import Jobs
from pipeline.workflow.resources import Resources


@pytest.fixture
def resources():
    """At preset `mini` with this execution and number of GPUs."""
    params = Params(PARAMS)
    jobs = Jobs(params, Invocation.read({}), in_job=False)

    def at(gpus=0, **execution):
        preset = params.preset("mini")
        changed = preset.execution.model_copy(update=execution)
        preset = preset.model_copy(update={"execution": changed, "gpus": gpus})
        return Resources("mini", preset, params.costs(), jobs)

    return at


def test_a_preset_with_several_processes_is_not_packed_into_an_allocation(resources):
    alone = resources()
    assert alone.job_step().endswith(f"--mem={alone.memory_mb(1)} --gres=none")
    with pytest.raises(WorkflowError, match=r"trains in 4 processes.*--profile profiles/slurm"):
        resources(gpus=1, processes=4).job_step()
