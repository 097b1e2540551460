"""Which part of a batch a process works on, and in how many steps.

A batch is cut into `accumulate` parts, one after the other, and each part into one piece per
process. So a part holds the same images whatever the number of processes.

What a recipe takes over a part of the batch (statistics of the backbone, hard pixels, the average
of the loss: there one GPU's images) is taken over the same images however the batch is divided
here, or `Share.check` refuses the division.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from dmnet.config import RecipeConfig
from dmnet.errors import ConfigError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """The pieces of process `rank`: one in each of the `accumulate` parts of a batch."""

    rank: int = 0
    processes: int = 1
    accumulate: int = 1

    @property
    def in_words(self) -> str:
        """As a preset has it."""
        parts = f", accumulate: {self.accumulate}" if self.accumulate > 1 else ""
        return f"`execution: {{processes: {self.processes}{parts}}}`"

    @property
    def pieces(self) -> int:
        """Of the whole batch."""
        return self.processes * self.accumulate

    def start(self, batch: int, part: int) -> int:
        """Index of the piece's first image in a batch of so many images."""
        return (part * self.processes + self.rank) * (batch // self.pieces)

    def of(self, batch: list[Item]) -> list[Item]:
        """This process's items, part after part. The batch is a multiple of `pieces` long."""
        size = len(batch) // self.pieces
        starts = [self.start(len(batch), part) for part in range(self.accumulate)]
        return [item for start in starts for item in batch[start : start + size]]

    def within(self, batch: int, part: int, parts: int) -> list[tuple[int, int]]:
        """(number, images) of each of the batch's `parts` of which the piece has images."""
        start = self.start(batch, part)
        numbers = [i * parts // batch for i in range(start, start + batch // self.pieces)]
        return [(number, numbers.count(number)) for number in sorted(set(numbers))]

    def check(self, recipe: RecipeConfig) -> None:
        """Raises ConfigError where this division would train other weights than the recipe says."""
        cut = f"{self.processes} process(es) x {self.accumulate} accumulated part(s)"
        if recipe.batch_size % self.pieces:
            raise ConfigError(
                f"recipe.batch_size: {recipe.batch_size} images cannot be divided among {cut}; "
                "choose execution.processes and execution.accumulate so that they can"
            )
        parts = self.accumulate if recipe.sync_bn else self.pieces
        if parts != recipe.bn_parts or (not recipe.sync_bn and self.accumulate > 1):
            wanted = (
                f"execution.accumulate {recipe.bn_parts}"
                if recipe.sync_bn
                else f"{recipe.bn_parts} process(es) and execution.accumulate 1"
            )
            raise ConfigError(
                f"recipe.bn_parts: {recipe.bn_parts} with sync_bn {str(recipe.sync_bn).lower()}, "
                f"but {cut} normalise the batch in {parts} part(s), which gives other weights; "
                f"use {wanted}, or set recipe.bn_parts and get other runs"
            )
        own = recipe.backbone_bn_parts
        if own is not None and own % self.pieces:
            raise ConfigError(
                f"recipe.backbone_bn_parts: {own}, but {cut} normalise in {self.pieces} part(s) of "
                "the batch, or a multiple of it; use fewer, or set recipe.backbone_bn_parts and "
                "get other runs"
            )
        if recipe.ohem is not None and recipe.ohem.parts % self.pieces:
            raise ConfigError(
                f"recipe.ohem.parts: {recipe.ohem.parts}, but {cut} choose hard pixels in "
                f"{self.pieces} part(s) of the batch, or a multiple of it; use fewer, or set "
                "recipe.ohem.parts and get other runs"
            )


def unchanged_divisions(recipe: RecipeConfig, now: Share) -> list[Share]:
    """Into more pieces than `now`, so that each takes less memory, with the same results but for
    rounding; in fewer pieces and fewer processes first."""
    batch, shares = recipe.batch_size, []
    sizes = [pieces for pieces in range(now.pieces + 1, batch + 1) if batch % pieces == 0]
    for pieces in sizes:
        for processes in (each for each in range(1, pieces + 1) if pieces % each == 0):
            share = Share(0, processes, pieces // processes)
            try:
                share.check(recipe)
            except ConfigError:
                continue
            shares.append(share)
    return shares
