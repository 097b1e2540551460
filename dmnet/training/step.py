"""One step of training: learning rate, forward, losses, backward, update."""

from __future__ import annotations

import torch
from torch import Tensor

from dmnet.config import RecipeConfig
from dmnet.losses import Losses, segmentation_losses
from dmnet.segmentor import Segmentor
from dmnet.training.amp import loss_scaler, uses_amp
from dmnet.training.schedule import lr_at


class Stepper:
    """Steps of one model by one recipe. `optimizer` and `scaler` hold the state to be resumed.

    Weight decay applies to every parameter, batch normalisation and biases included, and gradients
    are not clipped, as in both zoos.
    """

    def __init__(
        self, model: Segmentor, recipe: RecipeConfig, ignore_index: int, device: torch.device
    ) -> None:
        self.model, self.recipe = model, recipe
        self.ignore_index, self.device = ignore_index, device
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self.amp = uses_amp(recipe, device)
        self.scaler = loss_scaler(recipe, device, self.amp)

    def step(self, images: Tensor, labels: Tensor, iteration: int) -> tuple[Losses, float]:
        """Update the model with one batch; returns the batch's losses and the learning rate.

        images (n, 3, h, w) normalised, labels (n, h, w); iteration: 0-based, for the schedule. The
        model must be in training mode.
        """
        lr = lr_at(self.recipe, iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        images = images.to(self.device, non_blocking=True)
        labels = labels.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, enabled=self.amp):
            logits = self.model(images)
        losses = segmentation_losses(
            self.model,
            logits,
            labels,
            self.ignore_index,
            self.recipe.loss_average,
            self.recipe.ohem,
        )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(losses.total).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update(self.recipe.loss_scale)
        return losses, lr
