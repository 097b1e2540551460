"""Augmented samples against both zoos' own pipelines (tests/reference/record_augmentation.py).

The zoos' transforms were given the numbers of one `numpy.random.default_rng(seed)` per sample; ours
gets the same generator, so it has to draw the same numbers in the same order and do the same with
them. What the zoos draw on their own is compared as a distribution.

OpenCV, which both zoos and we ask, rounds differently when it comes back from HSV with fewer
instructions than AVX2: by one level of 255, of which contrast and a second time make three at most,
in up to a seventh of the values. There the limit is three levels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from dmnet.config import RecipeConfig
from dmnet.data.augment import augment, fitted_size
from dmnet.data.crop import class_counts, draw_window
from dmnet.data.dataset import stack_samples
from dmnet.data.padding import margins
from dmnet.data.photometric import distort
from dmnet.errors import DataError

SOURCE = "tests/golden/augmentation.pt"
IGNORE = 255
Golden = Callable[[str], Any]
Fidelity = Callable[..., None]


def recipe(zoo: str, **values: Any) -> RecipeConfig:
    released = {
        **{"lr": 0.01, "weight_decay": 5e-4, "iterations": 1, "batch_size": 1},
        **{"cat_max_ratio": 0.75, "photometric": True, "conventions": zoo},
    }
    return RecipeConfig.model_validate({**released, **values})


CASES = [
    ("mmsegmentation", "cityscapes"),
    ("mmsegmentation", "ade20k"),
    ("mmsegmentation", "voc"),
    ("mmsegmentation", "one class prevails"),
    ("mmsegmentation", "a single class"),
    ("mmsegmentation", "no labels"),
    ("sssegmentation", "cityscapes"),
    ("sssegmentation", "ade20k"),
    ("sssegmentation", "one class prevails"),
    ("sssegmentation", "a single class"),
    ("sssegmentation", "no labels: left uncropped"),
    ("sssegmentation", "upright sample, lying crop"),
]


AVX2 = 11  # OpenCV's number, which its Python module does not name
THREE_LEVELS = 3.1 / 255


@pytest.mark.parametrize(("zoo", "name"), CASES)
def test_samples_are_the_zoos(zoo: str, name: str, golden: Golden, fidelity: Fidelity) -> None:
    recorded = golden("augmentation")
    case = next(c for c in recorded["cases"] if (c["zoo"], c["name"]) == (zoo, name))
    image, label = recorded["pictures"][case["picture"]]
    ours = [
        augment(
            image.permute(2, 0, 1),
            label.long(),
            recipe(zoo, **case["recipe"]),
            IGNORE,
            np.random.default_rng(sample["seed"]),
        )
        for sample in case["samples"]
    ]
    theirs = [(sample["image"], sample["label"]) for sample in case["samples"]]
    assert [x.shape for x, _ in ours] == [x.shape for x, _ in theirs]
    assert [y.shape for _, y in ours] == [y.shape for _, y in theirs]
    model = f"training samples ({zoo})"
    images, their_images = (torch.cat([x.ravel() for x, _ in all_]) for all_ in (ours, theirs))
    labels, their_labels = (torch.cat([y.ravel() for _, y in all_]) for all_ in (ours, theirs))
    limit = 1e-5 if cv2.checkHardwareSupport(AVX2) else THREE_LEVELS
    fidelity(model, f"{name}: images", images, their_images, source=SOURCE, limit=limit)
    fidelity(model, f"{name}: labels", labels.to(torch.uint8), their_labels, source=SOURCE)


DRAWN = ["height after resizing", "crop row", "crop column", "mirrored", "red", "green", "blue"]


@pytest.mark.parametrize("zoo", ["mmsegmentation", "sssegmentation"])
def test_random_numbers_are_distributed_as_the_zoos(zoo: str, golden: Golden) -> None:
    recorded = golden("augmentation")["distributions"]
    picture = recorded["picture"].permute(2, 0, 1)
    values = recipe(zoo, fit_size=(40, 80), crop_size=(16, 24))
    whole = recipe(zoo, fit_size=(40, 80), crop_size=(200, 200), photometric=False)
    where = torch.arange(40 * 60).reshape(40, 60)
    small = torch.zeros(3, 40, 60, dtype=torch.uint8)
    halves = (where % 60 >= 30).long()  # the left half is class 0
    ours = []
    for seed in range(1000):
        rng = np.random.default_rng([7, seed])
        label = augment(small, halves, whole, IGNORE, rng)[1]
        seen = label[(label != IGNORE).any(1)]
        corner = draw_window(where, values, 10**6, rng)
        mean = distort(picture, rng, "rgb" if zoo == "mmsegmentation" else "bgr")
        first = int(seen[0][seen[0] != IGNORE][0])
        ours.append([len(seen), corner.top, corner.left, first, *mean.float().mean((1, 2))])
    table, theirs = np.array(ours), recorded[zoo].numpy()
    for column, what in enumerate(DRAWN):
        test = stats.ks_2samp(table[:, column], theirs[:, column], method="asymp")
        assert test.pvalue > 1e-3, f"{what}: Kolmogorov-Smirnov p = {test.pvalue:.2g}"
    for column in (0, 1, 2):  # uniform, so that the ends of the ranges are met
        for end in (np.min, np.max):
            assert abs(end(table[:, column]) - end(theirs[:, column])) <= 1, DRAWN[column]


# ------------------------------------------------------------------------ the rules, by hand


@pytest.mark.parametrize(
    ("size", "fit_size", "factor", "expected"),
    [
        ((1024, 2048), (1024, 2048), 1.0, (1024, 2048)),
        ((1024, 2048), (1025, 2049), 1.0, (1025, 2049)),  # the 769x769 rows
        ((375, 500), (512, 2048), 1.0, (512, 683)),
        ((500, 375), (512, 2048), 1.0, (683, 512)),  # upright: the same sides, exchanged
        ((375, 500), (2048, 512), 1.0, (512, 683)),
        ((100, 500), (512, 2048), 1.0, (410, 2048)),  # the longer side is what binds
        ((375, 500), (512, 2048), 0.7, (358, 477)),  # int(512 x 0.7) = 358
    ],
)
def test_fitted_size(
    size: tuple[int, int], fit_size: tuple[int, int], factor: float, expected: tuple[int, int]
) -> None:
    assert fitted_size(*size, fit_size, factor) == expected


class Counted:
    """A generator that counts its integers."""

    def __init__(self) -> None:
        self.rng, self.integers_drawn = np.random.default_rng(0), 0

    def integers(self, *bounds: int) -> int:
        self.integers_drawn += 1
        return int(self.rng.integers(*bounds))


@pytest.mark.parametrize(
    ("zoo", "ratio", "label", "crops"),
    [
        ("mmsegmentation", 0.75, "single", 11),  # ten checks, and an eleventh used unchecked
        ("mmsegmentation", 1.0, "single", 1),  # off
        ("mmsegmentation", 0.75, "checkered", 1),
        ("sssegmentation", 0.75, "single", 10),
        ("sssegmentation", 1.0, "single", 10),  # one class is never enough here
        ("sssegmentation", 0.75, "checkered", 1),
    ],
)
def test_how_often_a_crop_is_drawn(zoo: str, ratio: float, label: str, crops: int) -> None:
    labels = torch.zeros(64, 64, dtype=torch.uint8)
    if label == "checkered":
        labels[::2] = 1
    rng: Any = Counted()
    draw_window(labels, recipe(zoo, crop_size=(16, 16), cat_max_ratio=ratio), IGNORE, rng)
    assert rng.integers_drawn == 2 * crops  # a row and a column each


def test_the_largest_class_must_have_less_than_the_ratio_of_the_labelled_pixels() -> None:
    labels = torch.full((16, 16), IGNORE)
    labels[0, :4] = torch.tensor([1, 1, 1, 2])  # exactly 0.75 of four
    assert class_counts(labels, IGNORE).tolist() == [3, 1]
    rng: Any = Counted()
    values = recipe("mmsegmentation", crop_size=(16, 16))
    draw_window(labels, values, IGNORE, rng)
    assert rng.integers_drawn == 22
    labels[0, 4] = 2
    draw_window(labels, values, IGNORE, rng)
    assert rng.integers_drawn == 24


@pytest.mark.parametrize(
    ("zoo", "size", "expected"),
    [
        ("mmsegmentation", (20, 30), (0, 10, 0, 4)),
        ("sssegmentation", (20, 31), (4, 5, 2, 2)),
        ("sssegmentation", (30, 20), (2, 2, 5, 5)),  # upright in a lying crop: 40 high, 24 wide
        ("sssegmentation", (24, 24), (8, 8, 0, 0)),  # square: not turned around
        ("sssegmentation", (50, 61), (-11, -10, -13, -13)),  # left uncropped: its middle
    ],
)
def test_margins(zoo: str, size: tuple[int, int], expected: tuple[int, int, int, int]) -> None:
    assert margins(*size, recipe(zoo, crop_size=(24, 40))) == expected


def test_a_batch_of_lying_and_turned_samples_is_refused_in_words() -> None:
    def sample(height: int, width: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(3, height, width), torch.zeros(height, width, dtype=torch.uint8)

    images, labels = stack_samples([sample(40, 24), sample(40, 24)])
    assert images.shape == (2, 3, 40, 24) and labels.shape == (2, 40, 24)
    with pytest.raises(DataError, match=r"^crop_size: upright and lying .* square crop_size"):
        stack_samples([sample(24, 40), sample(40, 24)])


def test_parts_that_are_off_draw_no_numbers() -> None:
    """So recipes from before these parts keep their samples."""
    image = torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8)
    label = torch.zeros(40, 60, dtype=torch.uint8)
    off = recipe("mmsegmentation", crop_size=(16, 24), cat_max_ratio=1.0, photometric=False)
    rng, expected = np.random.default_rng(5), np.random.default_rng(5)
    augment(image, label, off, IGNORE, rng)
    factor = expected.uniform(0.5, 2.0)
    height, width = int(40 * factor + 0.5), int(60 * factor + 0.5)
    expected.integers(0, max(height - 16, 0) + 1)
    expected.integers(0, max(width - 24, 0) + 1)
    expected.random()
    assert rng.bit_generator.state == expected.bit_generator.state
