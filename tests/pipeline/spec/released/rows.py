"""One row of a zoo's table, as it is trained and evaluated here; what both zoos' words share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from dmnet.config import InferenceConfig, ModelConfig, RecipeConfig, RunConfig
from dmnet.heads.fcn import FCNHead
from dmnet.segmentor import Segmentor
from pipeline.experiments import Experiment
from pipeline.experiments.experiment import Cell

Tree = dict[str, Any]


@dataclass(frozen=True)
class OurRow:
    """A row of a zoo's table: its training run and what its one or two mIoUs are measured with."""

    cell: Cell  # of the single-scale mIoU
    run: RunConfig
    model: ModelConfig
    recipe: RecipeConfig
    inference: InferenceConfig
    multi_scale: InferenceConfig | None  # of the column mIoU(ms+flip)

    @cached_property
    def network(self) -> Segmentor:
        """As it is built for training, without values."""
        with torch.device("meta"):
            return Segmentor(self.model, self.run.data.classes).train()

    def setting(self, path: str) -> Any:
        return self.cell.settings[path].value


def our_rows(experiment: Experiment, table: str) -> dict[str, OurRow]:
    """The rows of one zoo's table by the names of their cells."""
    cells = {cell.name: cell for cell in experiment.cells_of(table) if cell.measured}
    found = {}
    for name, cell in cells.items():
        if not name.endswith("-ms-flip"):
            (evaluation,) = cell.evaluations
            multi = cells.get(f"{name}-ms-flip")
            run = experiment.runs[evaluation.run_key].job.run
            found[name] = OurRow(
                cell,
                run,
                run.model,
                run.recipe,
                evaluation.config.inference,
                multi.evaluations[0].config.inference if multi else None,
            )
    return found


def head_of(head: Any) -> Tree:
    """What both zoos' heads have, read from the modules."""
    tree = {
        "in_channels": next(m for m in head.modules() if isinstance(m, nn.Conv2d)).in_channels,
        "dropout_ratio": head.dropout.p,
        "num_classes": head.classifier.out_channels,
    }
    if isinstance(head, FCNHead):
        tree |= {"num_convs": len(head.convolutions), "concat_input": head.concat is not None}
    return tree


def norm_of(row: OurRow, together: str, apart: str, backbone: bool = False) -> str:
    """Statistics over the whole batch, or over what each device holds of it."""
    recipe = row.recipe
    parts = recipe.bn_parts
    if backbone and recipe.backbone_bn_parts is not None:
        parts = recipe.backbone_bn_parts
    if parts == 1:
        return together if recipe.sync_bn else apart
    return apart if parts == row.setting("recipe.devices") else f"{apart} in {parts} parts"


def steps_of(steps: Iterable[tuple[str, Tree]]) -> Tree:
    """Step -> its values, and the order of the steps."""
    found = list(steps)
    return {**dict(found), "order": [name for name, _ in found]}
