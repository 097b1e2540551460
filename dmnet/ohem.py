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
def hard_pixels(
    logits: Tensor, labels: Tensor, losses: Tensor, ignore_index: int, ohem: OHEMConfig
) -> Tensor:
    """(n, h, w) bool: the pixels to keep.

    logits: (n, classes, h, w); labels: (n, h, w) class indices; losses: (n, h, w) cross-entropy.
    """
    if ohem.parts > 1:
        alone = ohem.model_copy(update={"parts": 1})
        pieces = zip(*(x.chunk(ohem.parts) for x in (logits, labels, losses)), strict=True)
        return torch.cat([hard_pixels(x, y, loss, ignore_index, alone) for x, y, loss in pieces])
    # No value is asked for: a GPU would have to finish all that was queued before it can answer.
    labelled = labels != ignore_index
    if ohem.threshold is None:
        hardness = losses.detach().masked_fill(~labelled, -torch.inf).flatten()
        count = min(ohem.min_kept * len(labels), len(hardness))
        kept = torch.zeros_like(labelled).flatten()
        kept[hardness.topk(count).indices] = True
        return kept.view_as(labelled) & labelled
    true_class = labels.masked_fill(~labelled, 0).unsqueeze(1)
    probability = logits.softmax(1).gather(1, true_class).squeeze(1)
    # The pixel that is the next easier than the `wanted` hardest ones, or the easiest of all where
    # there are fewer; strictly below it lie at most `wanted`, and fewer where several pixels share
    # its probability.
    easiness = probability.masked_fill(~labelled, torch.inf).flatten()
    wanted = min(ohem.min_kept * len(labels), len(easiness) - 1)
    hardest = easiness.topk(wanted + 1, largest=False).values
    at_least = hardest.gather(0, (labelled.sum() - 1).clamp(0, wanted)[None])
    return (probability < at_least.clamp(min=ohem.threshold)) & labelled
