"""Random scale, crop and mirror image: geometry, padding, distributions, one generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dmnet.config import RecipeConfig
from dmnet.data.augment import augment, normalise, resize_image, resize_label, scaled_size
from tests.torchvision_peer import torchvision

IGNORE = 255


def recipe(**values: Any) -> RecipeConfig:
    plain = {
        "lr": 0.1,
        "weight_decay": 0.0,
        "iterations": 1,
        "batch_size": 1,
        "crop_size": (16, 24),
        "scale_range": (1.0, 1.0),
        "flip": 0.0,
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
    }
    return RecipeConfig.model_validate({**plain, **values})


def sample(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Every pixel has its own label (below 255) and the same value in all channels of the image."""
    label = (torch.arange(height * width) % 251).to(torch.uint8).reshape(height, width)
    return label.to(torch.uint8).expand(3, -1, -1).contiguous(), label


def draw(recipe: RecipeConfig, size: tuple[int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    return augment(*sample(*size), recipe, IGNORE, np.random.default_rng(seed))


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    low=st.floats(0.2, 1.0),
    seed=st.integers(0, 2**31),
)
def test_every_image_comes_out_at_the_crop_size(
    height: int, width: int, low: float, seed: int
) -> None:
    image, label = draw(recipe(scale_range=(low, 2.0), flip=0.5), (height, width), seed)
    assert image.shape == (3, 16, 24) and image.dtype == torch.float32
    assert label.shape == (16, 24) and label.dtype == torch.uint8


@settings(max_examples=30, deadline=None)
@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 2**31))
def test_image_and_label_are_cropped_and_mirrored_together(
    size: tuple[int, int], seed: int
) -> None:
    image, label = draw(recipe(flip=0.5), size, seed)
    seen = label != IGNORE
    assert torch.equal(image[:, seen], label[seen].float().expand(3, -1))
    assert int(seen.sum()) == min(size[0], 16) * min(size[1], 24)


def test_what_is_missing_is_padded_at_the_right_and_bottom_with_the_mean_and_ignored() -> None:
    image, label = draw(recipe(mean=(10.0, 20.0, 30.0), std=(2.0, 2.0, 2.0)), (10, 20))
    original, original_label = sample(10, 20)
    assert torch.equal(label[:10, :20], original_label)
    expected = (original.float() - torch.tensor([10.0, 20.0, 30.0])[:, None, None]) / 2
    assert torch.equal(image[:, :10, :20], expected)
    for missing in (label[10:], label[:, 20:]):
        assert bool((missing == IGNORE).all())
    assert bool((image[:, 10:] == 0).all()) and bool((image[:, :, 20:] == 0).all())


def test_flip_one_always_mirrors_and_zero_never() -> None:
    never = draw(recipe(), (16, 24))
    always = draw(recipe(flip=1.0), (16, 24))
    assert torch.equal(always[1], never[1].flip(-1))
    assert torch.equal(always[0], never[0].flip(-1))
    assert torch.equal(never[1], sample(16, 24)[1])


def test_flip_mirrors_that_share_of_the_samples() -> None:
    straight = sample(16, 24)[1]
    mirrored = sum(
        not torch.equal(draw(recipe(flip=0.25), (16, 24), seed)[1], straight) for seed in range(400)
    )
    assert 70 <= mirrored <= 130


def test_every_crop_position_is_reached_and_none_beyond() -> None:
    corners = {int(draw(recipe(), (19, 25), seed)[1][0, 0]) for seed in range(200)}
    first_rows = sample(19, 25)[1]
    assert corners == {int(first_rows[top, left]) for top in range(4) for left in range(2)}


def test_scales_are_uniform_between_the_bounds() -> None:
    wide = recipe(crop_size=(200, 200), scale_range=(0.5, 2.0))
    heights, widths = [], []
    for seed in range(300):
        seen = draw(wide, (40, 60), seed)[1] != IGNORE
        heights.append(int(seen.any(1).sum()))
        widths.append(int(seen.any(0).sum()))
    factors = np.array(heights) / 40
    assert 0.5 <= factors.min() < 0.55 and 1.95 < factors.max() <= 2.0
    assert factors.mean() == pytest.approx(1.25, abs=0.08)
    assert np.allclose(np.array(widths) / 60, factors, atol=1 / 40)  # the aspect ratio stays


def test_labels_are_never_mixed_when_scaled() -> None:
    label = (
        torch.tensor([[0, 20], [7, IGNORE]], dtype=torch.uint8)
        .repeat_interleave(6, 0)
        .repeat_interleave(6, 1)
    )
    for size in ((5, 7), (13, 29)):
        assert set(resize_label(label, size).unique().tolist()) == {0, 7, 20, IGNORE}


def test_images_are_resized_without_antialiasing() -> None:
    """By an odd factor the middle pixels are picked; antialiasing would average."""
    image = torch.randint(0, 256, (3, 9, 15), dtype=torch.uint8)
    assert torch.equal(resize_image(image, (3, 5)), image[:, 1::3, 1::3])


@pytest.mark.parametrize(
    ("factor", "expected"), [(0.5, (3, 4)), (1.0, (5, 7)), (2.0, (10, 14)), (0.01, (1, 1))]
)
def test_sizes_are_rounded_half_up_to_at_least_one(
    factor: float, expected: tuple[int, int]
) -> None:
    assert scaled_size(5, 7, factor) == expected


def test_normalising_removes_mean_and_standard_deviation_per_channel() -> None:
    image = torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None].expand(3, 2, 2)
    values = normalise(image, recipe(mean=(8.0, 20.0, 31.0), std=(2.0, 5.0, 4.0)))
    assert values[:, 0, 0].tolist() == [1.0, 0.0, -0.25]


def test_normalising_is_torchvisions_to_the_bit() -> None:
    image = torch.arange(256, dtype=torch.uint8).expand(3, 2, 256).contiguous()
    wanted = recipe(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    theirs = torchvision.transforms.v2.functional.normalize(
        image.float(), list(wanted.mean), list(wanted.std)
    )
    assert torch.equal(normalise(image, wanted), theirs)


def test_one_state_of_the_generator_gives_one_sample_and_another_another() -> None:
    mixed = recipe(scale_range=(0.5, 2.0), flip=0.5)
    first, again, other = (draw(mixed, (30, 40), seed) for seed in (3, 3, 4))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
