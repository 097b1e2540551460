"""Counting a model's parts apart gives what counting the whole network gives."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dmnet.flops import training_cost
from dmnet.segmentor import Segmentor
from pipeline.experiments import build_experiment


def models():
    """A run of every backbone and head, with and without auxiliary heads."""
    chosen = {}
    for run in build_experiment("mini").runs.values():
        model = run.job.run.model
        kinds = (model.backbone.name, getattr(model.backbone, "output_stride", None))
        kinds = (*kinds, model.head.name, tuple(model.auxiliary))
        chosen.setdefault(kinds, run.job.run)
    return list(chosen.values())


@pytest.mark.parametrize("run", models(), ids=lambda run: run.key)
def test_the_parts_add_up_to_the_whole_network(run):
    size, classes = run.recipe.crop_size, run.data.classes
    with torch.device("meta"):
        network = Segmentor(run.model, classes).train()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(2, 3, *size))
    cost = training_cost(run.model, classes, *size)
    assert 2 * cost.flops == counter.get_total_flops() > 0
    assert cost.values == sum(value.numel() for value in network.state_dict().values())
    assert cost.parameters == sum(value.numel() for value in network.parameters())
