"""Where a comparison is of choices: how far each is from falling otherwise.

Which pixels are hard, and which class a pixel has, jumps where two numbers are equal; then their
last bits decide, and those another processor may round differently. Such a
choice proves nothing, and none may stand in a recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor

from dmnet import losses
from dmnet.config import OHEMConfig

# What float64 leaves of a probability or loss after a few steps is 1e-13; the recordings have 2e-7.
LEAST = 1e-7


@contextmanager
def margins_of_hard_pixels() -> Iterator[list[float]]:
    """The `margin` of every choice that is made meanwhile."""
    found: list[float] = []
    choose = losses.hard_pixels

    def watch(
        probability: Tensor, labels: Tensor, values: Tensor, ignore_index: int, ohem: OHEMConfig
    ) -> Tensor:
        known = values if ohem.threshold is None else probability
        parts = (x.detach().chunk(ohem.parts) for x in (known, labels, values))
        found.extend(margin(*part, ignore_index, ohem) for part in zip(*parts, strict=True))
        return choose(probability, labels, values, ignore_index, ohem)

    with patch.object(losses, "hard_pixels", watch):
        yield found


@torch.no_grad()
def margin(
    probability: Tensor, labels: Tensor, values: Tensor, ignore_index: int, ohem: OHEMConfig
) -> float:
    """How far the nearest pixel, but for the one that sets the threshold, is from it: 0 where
    several share its value; infinite where there is no choice. Arguments: `hard_pixels`'.

    Without a threshold, how much easier the first pixel that is left out is than the last one kept.
    Pixels of one loss may change places there: at the edge of an image, where coarse logits go on
    unchanged, they have the same gradient.
    """
    labelled = labels != ignore_index
    kept = ohem.min_kept * len(labels)
    if ohem.threshold is None:
        hardest = values[labelled].sort(descending=True).values
        gaps = (hardest - hardest[:kept][-1:]).abs()
        return min(gaps[gaps > 1e-10].tolist(), default=torch.inf)
    easiness = probability[labelled].sort().values
    if not len(easiness):
        return torch.inf
    at_least = float(easiness[min(kept, len(easiness) - 1)])
    distances = (easiness - max(at_least, ohem.threshold)).abs().sort().values
    return min(distances[int(at_least > ohem.threshold) :].tolist(), default=torch.inf)


def decided(scores: Tensor, apart: float = 2e-5) -> Tensor:
    """(..., h, w) bool: the pixels whose two best classes' scores (..., classes, h, w) are further
    `apart`, as a part of the range of all, than two scores that pass for equal.

    Of a few thousand pixels one or two are nearer, whatever the input.
    """
    best = scores.topk(2, dim=-3).values
    clear = (best.select(-3, 0) - best.select(-3, 1)) / (scores.max() - scores.min()) > apart
    assert float(clear.double().mean()) > 0.95, "this input decides too little"
    return clear
