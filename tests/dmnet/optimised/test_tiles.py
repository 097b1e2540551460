"""Which tiles images are divided into."""

from __future__ import annotations

import pytest

from dmnet.optimised import tiles
from dmnet.optimised.tiles import best_tile, padding_saving, saving


@pytest.fixture
def any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tiles, none of them zeros."""
    monkeypatch.setattr(tiles, "FILLED", 1)


@pytest.mark.usefixtures("any_number")
def test_the_tile_is_the_one_with_the_fewest_products() -> None:
    assert best_tile(1, 64, 64, 4) == (4, 4)
    assert saving(1, 64, 64, 4, (4, 4)) == 4
    assert best_tile(1, 64, 128, 12) == (3, 4)  # phases of 5 or 6 rows, 10 or 11 columns
    assert best_tile(1, 64, 64, 36) is None  # phases of 1 or 2 rows: border more than anything
    assert best_tile(1, 1, 1, 1) is None


@pytest.mark.usefixtures("any_number")
def test_no_tile_saves_less_than_to_leave_out_the_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    """With this dilation the direct convolution multiplies 39 % of what it seems to."""
    shape = (1, 64, 64, 36)
    monkeypatch.setattr(tiles, "LEAST_SAVING", 1.6)
    assert padding_saving(64, 64, 36) > saving(*shape, (2, 2)) > tiles.LEAST_SAVING
    assert best_tile(*shape) is None


def test_a_dilation_as_large_as_the_image_leaves_the_middle_alone() -> None:
    assert padding_saving(32, 32, 32) == 9
    assert padding_saving(32, 64, 36) == pytest.approx(9 * 64 / (64 + 2 * 28))
    assert padding_saving(7, 9, 1) == pytest.approx(9 * 7 * 9 / (19 * 25))


def test_tiles_that_are_filled_up_with_zeros_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 tiles of 4 x 4 in one image, 144 in another: 128 and 256 are multiplied."""
    assert best_tile(1, 16, 16, 1) is None and best_tile(8, 16, 16, 1) == (4, 4)
    assert best_tile(1, 48, 48, 1) == (3, 3)  # 256 tiles
    monkeypatch.setattr(tiles, "FILLED", 1)
    assert best_tile(1, 16, 16, 1) == (4, 4)
