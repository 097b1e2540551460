"""How much of a GPU's memory a training step takes, counted without one.

- weights, gradients and momentum;
- what autograd keeps of the forward pass (dmnet/flops.py), in proportion to the images;
- of every head the resized log-probabilities, kept until its backward pass, and two more maps of
  that size at once where the backward pass begins; where the loss is taken in pieces of a batch
  (dmnet/pixel_losses.py), three maps of one piece.

Not counted: the CUDA context, cuDNN's workspaces (`OVERHEAD` is assumed for them) and the gaps
between the allocator's blocks.
"""

from __future__ import annotations

from typing import NamedTuple

from dmnet.config import ModelConfig, RecipeConfig
from dmnet.flops import ModelCost, training_cost
from dmnet.pixel_losses import PIECE

GIB = 2**30
FLOAT = 4  # bytes
OVERHEAD = 3 * GIB // 2  # assumed: 0.5 for the context, 1 for workspaces; nobody measured it here
LOSS_MAPS = 2  # beside those that are kept


class Footprint(NamedTuple):
    """Bytes on one GPU."""

    weights: int  # with gradients, momentum and statistics
    activations: int  # kept by the forward pass, the losses' maps among them
    temporary: int  # of the losses

    @property
    def total(self) -> int:
        return self.weights + self.activations + self.temporary + OVERHEAD


def training_footprint(
    model: ModelConfig, classes: int, recipe: RecipeConfig, images: int
) -> Footprint:
    """Of a training step; images: crops at once, a process's share of one accumulated part.

    In mixed precision what is kept is taken for half as large, but for the losses' maps.
    """
    return footprint_of(
        training_cost(model, classes, *recipe.crop_size), model, classes, recipe, images
    )


def footprint_of(
    cost: ModelCost, model: ModelConfig, classes: int, recipe: RecipeConfig, images: int
) -> Footprint:
    """The same from the model's cost at the recipe's crop."""
    height, width = recipe.crop_size
    heads = 1 + len(model.auxiliary)
    of_an_image = FLOAT * classes * height * width
    whole = images * of_an_image
    kept = images * cost.kept // (2 if recipe.precision == "amp" else 1)
    if whole > PIECE:
        maps, temporary = 0, (1 + LOSS_MAPS) * max(of_an_image, PIECE)
    else:
        maps, temporary = heads * whole, LOSS_MAPS * whole
    weights = FLOAT * (cost.values + 2 * cost.parameters)
    return Footprint(weights, kept + maps, temporary)
