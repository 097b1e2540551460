"""The images that a run learns from, and those that it is validated on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dmnet.config import JobConfig
from dmnet.data.dataset import SegmentationDataset, training_batches
from dmnet.data.manifest import Manifest
from dmnet.data.worker_room import affordable_workers, bytes_of_batch
from dmnet.training.share import Share


class RunData:
    def __init__(self, job: JobConfig, manifest: Manifest) -> None:
        self.job = job
        splits = (job.run.data.split, job.dataset.splits["val"])
        scale, cache = job.run.recipe.load_scale, job.execution.cache_mib
        self.train, self.val = (
            SegmentationDataset(manifest, split, job.run.data, scale, cache) for split in splits
        )

    def batches(
        self, iteration: int, share: Share, device: torch.device
    ) -> DataLoader[tuple[Tensor, Tensor]]:
        """One process's share of every batch from `iteration` on."""
        execution, recipe = self.job.execution, self.job.run.recipe
        return training_batches(
            self.train,
            recipe,
            self.job.run.seed,
            iteration,
            affordable_workers(
                execution.workers,
                bytes_of_batch(recipe, share.processes),
                sharing=-(-share.processes // execution.nodes),
            ),
            pin_memory=device.type == "cuda",
            share=share.of,
        )
