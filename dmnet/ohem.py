"""Online hard example mining: which pixels of a batch still count in the loss.

The rule of mmsegmentation's OHEMPixelSampler, on the scores at the labels' size:

    with a threshold   pixels whose true class has a probability strictly below the threshold,
                       which rises until about `min_kept` pixels per image lie below it
    without            the `min_kept` x images pixels with the highest loss

Both choose over the whole batch, or over each of its `parts` by itself (in mmsegmentation, each GPU
chooses over its own images), not image by image. Unlabelled pixels are never chosen.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmnet.config import OHEMConfig


@torch.no_grad()
def true_class_probability(logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """(n, h, w), any number where unlabelled. logits: (n, classes, h, w); labels: (n, h, w)."""
    true_class = labels.masked_fill(labels == ignore_index, 0).unsqueeze(1)
    return logits.softmax(1).gather(1, true_class).squeeze(1)


@torch.no_grad()
def hard_pixels(
    probability: Tensor, labels: Tensor, losses: Tensor, ignore_index: int, ohem: OHEMConfig
) -> Tensor:
    """(n, h, w) bool: the pixels to keep.

    probability: (n, h, w) as by `true_class_probability`, looked at with a threshold only; labels:
    (n, h, w) class indices; losses: (n, h, w) cross-entropy.
    """
    if ohem.parts > 1:
        alone = ohem.model_copy(update={"parts": 1})
        cut = [x.chunk(ohem.parts) for x in (labels, losses)]
        known = probability.chunk(ohem.parts) if ohem.threshold is not None else cut[1]
        pieces = zip(known, *cut, strict=True)
        return torch.cat([hard_pixels(x, y, loss, ignore_index, alone) for x, y, loss in pieces])
    # No value is asked for: a GPU would have to finish all that was queued before it can answer.
    labelled = labels != ignore_index
    if ohem.threshold is None:
        hardness = losses.detach().masked_fill(~labelled, -torch.inf).flatten()
        count = min(ohem.min_kept * len(labels), len(hardness))
        kept = torch.zeros_like(labelled).flatten()
        kept[hardness.topk(count).indices] = True
        return kept.view_as(labelled) & labelled
    # The pixel that is the next easier than the `wanted` hardest ones, or the easiest of all where
    # there are fewer; strictly below it lie at most `wanted`, and fewer where several pixels share
    # its probability.
    easiness = probability.masked_fill(~labelled, torch.inf).flatten()
    wanted = min(ohem.min_kept * len(labels), len(easiness) - 1)
    hardest = easiness.topk(wanted + 1, largest=False).values
    at_least = hardest.gather(0, (labelled.sum() - 1).clamp(0, wanted)[None])
    return (probability < at_least.clamp(min=ohem.threshold)) & labelled
