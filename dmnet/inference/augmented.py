"""Test-time augmentation: scales and mirror images of one picture, averaged (section 4.1).

For every scale, without and with mirroring: resize the picture, predict, mirror back, resize the
logits to the picture's own size; then average over all, as probabilities or as logits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmnet.config import InferenceConfig, RecipeConfig
from dmnet.data.augment import normalise, resize_image, scaled_size
from dmnet.inference.windows import image_logits
from dmnet.layers import resize_bilinear
from dmnet.segmentor import Segmentor


def scaled_test_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """The picture's size at a test scale, keeping its ratio, as mmsegmentation computes it.

    The target is the product, rounded half up; the picture takes the largest size of its own
    ratio that fits into the target, rounded half up again.
    """
    target = scaled_size(height, width, scale)
    factor = min(max(target) / max(height, width), min(target) / min(height, width))
    return scaled_size(height, width, factor)


@torch.no_grad()
def predict_scores(
    model: Segmentor, picture: Tensor, recipe: RecipeConfig, config: InferenceConfig
) -> Tensor:
    """One picture (3, h, w) uint8 -> scores (classes, h, w), averaged by the protocol.

    The scores are probabilities or logits as `config.average` says; a single prediction stays
    logits, whose order of classes is the same.
    """
    height, width = picture.shape[-2:]
    mirrors = (False, True) if config.flip else (False,)
    single = len(config.scales) * len(mirrors) == 1
    total: Tensor | None = None
    for scale in config.scales:
        resized = resize_image(picture, scaled_test_size(height, width, scale))
        images = normalise(resized, recipe)[None]
        for mirror in mirrors:
            logits = image_logits(model, images.flip(-1) if mirror else images, config)
            logits = logits.flip(-1) if mirror else logits
            logits = resize_bilinear(logits, (height, width), model.config.align_corners)[0]
            scores = logits if single or config.average == "logits" else logits.softmax(0)
            total = scores if total is None else total + scores
    assert total is not None
    return total / (len(config.scales) * len(mirrors))
