"""What a job asks for."""

from __future__ import annotations

import pytest
from snakemake.exceptions import WorkflowError
from snakemake.resources import Resources as SnakemakeResources

from pipeline.errors import SpecError
from pipeline.experiments import PARAMS
from pipeline.spec.params import Params
from pipeline.workflow.resources import Resources


@pytest.fixture
def resources():
    """At preset `mini` with this execution and number of GPUs."""
    params = Params(PARAMS)

    def at(gpus=0, **execution):
        preset = params.preset("mini")
        changed = preset.execution.model_copy(update=execution)
        preset = preset.model_copy(update={"execution": changed, "gpus": gpus})
        return Resources("mini", preset, params.costs())

    return at


class Rule:
    """One of Snakemake's, as far as it is looked at."""

    def __init__(self, name, **resources):
        self.name, self.resources = name, SnakemakeResources.from_mapping(resources)


@pytest.mark.parametrize("cuda", ["13.0", "12.6"])
def test_a_gpu_that_pytorch_has_no_code_for_is_refused_before_the_first_job(
    resources, cuda, monkeypatch
):
    monkeypatch.setattr("pipeline.spec.cards.installed_cuda", lambda: cuda)
    fine = [Rule("prepare", mem_mb=1), Rule("train", gpu_model="nvidia_a100"), Rule("x", gpu=1)]
    resources(gpus=1).check_cards(fine)
    old = [*fine, Rule("evaluate", gpu_model="tesla_v100")]
    resources(gpus=0).check_cards(old)
    if cuda == "12.6":
        resources(gpus=1).check_cards(old)
        return
    with pytest.raises(SpecError, match="rule evaluate, gpu_model 'tesla_v100': V100 has compute"):
        resources(gpus=1).check_cards(old)


def test_a_pytorch_without_cuda_is_refused_where_a_gpu_is_wanted(resources, monkeypatch):
    monkeypatch.setattr("pipeline.workflow.resources.installed_cuda", lambda: None)
    resources(gpus=1).check_cards([])  # `auto`
    with pytest.raises(SpecError, match="preset 'mini' computes on a GPU, but PyTorch .* no CUDA"):
        resources(gpus=1, device="cuda").check_cards([])


def test_a_preset_with_several_processes_is_not_packed_into_an_allocation(resources):
    alone = resources()
    assert alone.job_step().endswith(f"--mem={alone.memory_mb(1)} --gres=none")
    with pytest.raises(WorkflowError, match=r"trains in 4 processes.*--profile profiles/slurm"):
        resources(gpus=1, processes=4).job_step()
