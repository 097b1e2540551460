"""From one photograph to scores of its own size, by the whole protocol (section 4.1).

A view is what the network sees: the normalised photograph at one scale, mirrored or not. Its
scores are mirrored back and resized to the photograph's size; then all views are averaged. The two
zoos resize in different orders, which give different numbers wherever the network sees another
size than the photograph's:

    mmsegmentation   OpenCV resizes the photograph to the size of each view; logits are resized to
                     the view's size, from there to the photograph's, then become probabilities
    sssegmentation   OpenCV resizes the photograph once, to `fit_size`; normalised, it is resized
                     by each scale; the head's logits (or the probabilities, made of them first)
                     are resized straight to the photograph's size
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.config import InferenceConfig, RecipeConfig
from dmnet.data.augment import fitted_size, normalise, resize_image, scaled_size
from dmnet.devices import CPU, upload
from dmnet.inference.form import PLAIN, Form
from dmnet.inference.windows import head_logits, resized, view_scores
from dmnet.segmentor import Segmentor


class View(NamedTuple):
    images: Tensor  # (n, 3, h, w) float32, normalised
    mirrored: bool


@torch.no_grad()
def predict_scores(
    model: Segmentor,
    picture: Tensor,
    recipe: RecipeConfig,
    config: InferenceConfig,
    form: Form = PLAIN,
    device: torch.device = CPU,
) -> Tensor:
    """One picture (3, h, w) uint8 on the CPU -> scores (classes, h, w), averaged by the protocol.

    The scores are probabilities or logits as `config.average` says. In mmsegmentation's order a
    single prediction stays logits, whose order of classes is the same. `form` is that of `model`,
    `device` the one it is on, where the scores stay. A GPU is given one view after the other and
    asked for nothing, so the next is resized here while it works.
    """
    views = make_views(picture, recipe, config, model.config.align_corners, device)
    height, width = picture.shape[-2:]
    return average_scores(model, views, (height, width), config, form)[0]


@torch.no_grad()
def average_scores(
    model: Segmentor,
    views: Iterable[View],
    size: tuple[int, int],
    config: InferenceConfig,
    form: Form = PLAIN,
) -> Tensor:
    """Mean scores (n, classes, *size) of the views; of a single one without a copy."""
    # sssegmentation's become probabilities before they are resized, a single view's stay logits.
    resized_first = config.conventions == "mmsegmentation" and config.views > 1
    to_probabilities = resized_first and config.average == "probabilities"
    total: Tensor | None = None
    for some in together(views, form.pixels):
        for scores in scores_of(model, some, size, config, form):
            own = scores.softmax(1) if to_probabilities else scores
            total = own if total is None else total + own
    assert total is not None
    return total / config.views if config.views > 1 else total


def label_map(scores: Tensor) -> Tensor:
    """(..., classes, h, w) -> (..., h, w) int64: the first of the classes with the highest score.

    As `argmax` gives it, which takes several times as long on a CPU.
    """
    return scores.max(-3).indices


def together(views: Iterable[View], pixels: int) -> Iterator[list[View]]:
    """Views in their order, those of one size that follow each other joined up to `pixels`."""
    some: list[View] = []
    for view in views:
        images = view.images
        area = images.shape[0] * images.shape[2] * images.shape[3]
        fits = some and images.shape == some[0].images.shape and area * (len(some) + 1) <= pixels
        if some and not fits:
            yield some
            some = []
        some.append(view)
    if some:
        yield some


def scores_of(
    model: Segmentor,
    views: Sequence[View],
    size: tuple[int, int],
    config: InferenceConfig,
    form: Form,
) -> Iterator[Tensor]:
    """Scores (n, classes, *size) of each view, all of one size, mirrored back."""
    images = views[0].images if len(views) == 1 else torch.cat([view.images for view in views])
    between, align_corners = (images.shape[2], images.shape[3]), model.config.align_corners
    at_view = config.mode == "whole" and config.conventions == "mmsegmentation"
    twice = at_view and between != size
    if twice and form.name == "optimised":
        from dmnet.optimised import resized_through

        for view, logits in zip(views, head_logits(model, images).chunk(len(views)), strict=True):
            yield resized_through(logits, between, size, align_corners, view.mirrored)
        return
    predicted = view_scores(model, images, config, form.pixels)
    for view, scores in zip(views, predicted.chunk(len(views)), strict=True):
        yield resized(scores.flip(-1) if view.mirrored else scores, size, align_corners)


def make_views(
    picture: Tensor,
    recipe: RecipeConfig,
    config: InferenceConfig,
    align_corners: bool,
    device: torch.device = CPU,
) -> Iterator[View]:
    """The views of one picture (3, h, w) uint8 on the CPU, made on `device` and left there.

    Scale by scale, each before its mirror image.
    """
    height, width = picture.shape[-2:]
    if config.conventions == "sssegmentation":
        fitted = resize_image(picture, size_at_scale(height, width, 1.0, config.fit_size))
        images = normalise(upload(fitted, device), recipe)[None]
        yield from interpolated_views(images, config, align_corners)
        return
    for scale in config.scales:
        resized = resize_image(picture, size_at_scale(height, width, scale, config.fit_size))
        yield from with_mirror(normalise(upload(resized, device), recipe)[None], config)


def interpolated_views(
    images: Tensor, config: InferenceConfig, align_corners: bool
) -> Iterator[View]:
    """sssegmentation's views of normalised images (n, 3, h, w)."""
    for scale in config.scales:
        # By the factor, not to a size: the factor also sets where between the pixels is sampled.
        resized = F.interpolate(
            images, scale_factor=scale, mode="bilinear", align_corners=align_corners
        )
        yield from with_mirror(resized, config)


def with_mirror(images: Tensor, config: InferenceConfig) -> Iterator[View]:
    yield View(images, False)
    if config.flip:
        yield View(images.flip(-1), True)


def size_at_scale(
    height: int, width: int, scale: float, fit_size: tuple[int, int] | None = None
) -> tuple[int, int]:
    """The picture's size at a test scale, keeping its ratio, as mmsegmentation computes it: what
    fits into `fit_size` times `scale`, or without `fit_size` into its own size times `scale`."""
    if fit_size is None:
        return fitted_size(height, width, scaled_size(height, width, scale))
    return fitted_size(height, width, fit_size, scale)
