"""One step of training: learning rate, forward, losses, backward, update."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dmnet.config import RecipeConfig
from dmnet.devices import upload
from dmnet.losses import Losses, Shares, count_pixels, segmentation_losses
from dmnet.processes import ALONE, Processes
from dmnet.segmentor import Segmentor
from dmnet.training.acceleration import PLAIN, Acceleration, algorithms_tried
from dmnet.training.amp import loss_scaler, uses_amp
from dmnet.training.optimizer import build_optimizer, load_optimizer
from dmnet.training.schedule import lr_at
from dmnet.training.share import Share
from dmnet.training.shared_layers import set_piece, share_layers


class Stepper:
    """Steps of one model by one recipe.

    Weight decay applies to every parameter, batch normalisation and biases included, and gradients
    are not clipped, as in both zoos.

    With several processes, or a batch in several parts (`accumulate`), the gradient is that of the
    whole batch's loss: each piece's sum is divided by the number of pixels of the whole batch, or
    of the part of it that the recipe averages over.
    """

    def __init__(
        self,
        model: Segmentor,
        recipe: RecipeConfig,
        ignore_index: int,
        device: torch.device,
        processes: Processes | None = None,
        accumulate: int = 1,
        acceleration: Acceleration = PLAIN,
    ) -> None:
        """Raises ConfigError where the division of the batch does not fit the recipe."""
        self.model, self.recipe = model, recipe
        self.ignore_index, self.device = ignore_index, device
        self.processes = processes or ALONE
        self.share = Share(self.processes.rank, self.processes.count, accumulate)
        self.share.check(recipe)
        share_layers(model, recipe, device, self.share)
        self.ohem = recipe.ohem
        if self.ohem is not None and self.share.pieces > 1:
            parts = self.ohem.parts // self.share.pieces
            self.ohem = self.ohem.model_copy(update={"parts": parts})
        self.layout, self.tried = acceleration.layout, acceleration.tried_convolutions
        self.acceleration = acceleration._asdict()  # for the run's manifest
        # Before the optimizer, whose state is laid out like it. PyTorch's stubs lack this form.
        model.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.optimizer = build_optimizer(model.parameters(), recipe, acceleration.fused_update)
        self.amp = uses_amp(recipe, device)
        self.scaler = loss_scaler(recipe, device, self.amp)
        self._scale_found: dict[str, Any] = {}  # by an earlier attempt; a CPU only hands it on
        self._forward: nn.Module = model
        if self.processes.count > 1:
            self._forward = nn.parallel.DistributedDataParallel(
                model,
                device_ids=[device.index] if device.type == "cuda" else None,
                # Statistics over all processes are equal anyway; else the first one's count.
                forward_sync_buffers=not recipe.sync_bn,
            )

    def step(
        self, images: Tensor, labels: Tensor, iteration: int, seed: int | None = None
    ) -> tuple[Losses, float]:
        """Update the model with one batch; returns its losses and the learning rate.

        The losses are those of this process's share, divided by the whole batch's pixels: their
        sum over all processes is the batch's. A GPU is not waited for.
        images (n, 3, h, w) normalised, labels (n, h, w) uint8: this process's share of the batch.
        iteration: 0-based, for the schedule. seed: of dropout, in every part of the batch the
        same, as every part draws for the whole. The model must be in training mode.
        """
        lr = lr_at(self.recipe, iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        shares = self._shares(labels)
        images = images.to(self.device, non_blocking=True).contiguous(memory_format=self.layout)
        labels = labels.to(self.device, non_blocking=True).long()  # as the losses want them
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.share.accumulate
        losses = []
        for part, piece in enumerate(zip(images.chunk(parts), labels.chunk(parts), strict=True)):
            if seed is not None:
                torch.manual_seed(seed)
            losses.append(self._backward(*piece, part, shares[part]))
        self.scaler.step(self.optimizer)
        self.scaler.update(self.recipe.loss_scale)
        return self._share_of(losses), lr

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs besides the model."""
        scaler = self.scaler.state_dict() or self._scale_found
        return {"optimizer": self.optimizer.state_dict(), "scaler": scaler}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_optimizer(self.optimizer, state["optimizer"])
        self._scale_found = state["scaler"]
        if self._scale_found:  # empty where no GPU has computed so far
            self.scaler.load_state_dict(self._scale_found)

    def settle(self) -> None:
        """Give every process the first one's statistics, which are those that are saved."""
        own = not self.recipe.sync_bn or self.recipe.backbone_bn_parts is not None
        if self.processes.count > 1 and own:
            for buffer in self.model.buffers():
                dist.broadcast(buffer, src=0)

    def _backward(self, images: Tensor, labels: Tensor, part: int, shares: Shares | None) -> Losses:
        batch = self.recipe.batch_size
        if self.share.pieces > 1:
            set_piece(self.model, batch, self.share.start(batch, part))
        last = part == self.share.accumulate - 1
        with self._gradients_kept(last), algorithms_tried(self.tried):
            with torch.autocast(self.device.type, enabled=self.amp):
                logits = self._forward(images)
            losses = segmentation_losses(
                self.model,
                logits,
                labels,
                self.ignore_index,
                self.recipe.loss_average,
                self.ohem,
                shares,
            )
            # Processes' gradients are averaged where they should be added up.
            total = (
                losses.total if self.share.processes == 1 else losses.total * self.share.processes
            )
            self.scaler.scale(total).backward()
        return losses

    def _gradients_kept(self, last: bool) -> AbstractContextManager[None]:
        """Gradients are exchanged once for a batch, with its last part."""
        if isinstance(self._forward, nn.parallel.DistributedDataParallel) and not last:
            return self._forward.no_sync()
        return nullcontext()

    def _shares(self, labels: Tensor) -> list[Shares | None]:
        """What each piece's losses are divided by; None where it is the whole batch, on one GPU."""
        parts, batch, share = self.recipe.loss_parts, self.recipe.batch_size, self.share
        if share.pieces == parts == 1:
            return [None]
        within = [share.within(batch, part, parts) for part in range(share.accumulate)]
        counts = {number: torch.tensor(0) for number in range(parts)}
        start = 0
        for number, images in itertools.chain.from_iterable(within):
            own = labels[start : start + images]
            start += images
            counts[number] = counts[number] + count_pixels(
                own, self.ignore_index, self.recipe.loss_average
            )
        if share.processes > 1:
            summed = self.processes.sum([float(count) for count in counts.values()])
            pixels = torch.tensor(summed).long()
        else:
            pixels = torch.stack(list(counts.values()))
        divisors = upload(pixels.clamp(min=1) * parts, self.device)
        return [
            Shares(tuple(images for _, images in own), divisors[own[0][0] : own[-1][0] + 1])
            for own in within
        ]

    def _share_of(self, pieces: list[Losses]) -> Losses:
        """The losses of this process's share of the batch from those of its pieces; on the device,
        without gradients."""
        if self.share.pieces == 1:
            return pieces[0]
        main = torch.stack([piece.main.detach().double() for piece in pieces]).sum()
        heads = {
            name: torch.stack([p.auxiliary_heads[name].detach().double() for p in pieces]).sum()
            for name in pieces[0].auxiliary_heads
        }
        return Losses.of(main, heads)
