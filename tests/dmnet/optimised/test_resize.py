"""Two resizings at once give what two in a row give."""

from __future__ import annotations

import pytest
import torch

from dmnet.inference.windows import resized
from dmnet.optimised.resize import resized_through

SIZES = [
    ((8, 12), (57, 90), (64, 96)),
    ((8, 12), (112, 168), (64, 96)),
    ((1, 3), (5, 17), (40, 9)),
    ((7, 7), (7, 7), (7, 7)),
    ((128, 256), (768, 1536), (1024, 2048)),
]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("source", "between", "size"), SIZES)
def test_it_is_one_after_the_other(
    source: tuple[int, int],
    between: tuple[int, int],
    size: tuple[int, int],
    align_corners: bool,
    mirrored: bool,
) -> None:
    scores = torch.rand(2, 3, *source, generator=torch.Generator().manual_seed(0))
    first = resized(scores, between, align_corners)
    expected = resized(first.flip(-1) if mirrored else first, size, align_corners)
    found = resized_through(scores, between, size, align_corners, mirrored)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
