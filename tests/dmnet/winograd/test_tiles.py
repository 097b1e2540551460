"""Which tiles images are divided into."""

from __future__ import annotations

from dmnet.winograd.matrices import TILES
from dmnet.winograd.tiles import Costs, padding_saving

ANY = Costs(TILES["float"], least_saving=2.0)
BF16 = Costs(TILES["bf16"], least_saving=1.6)


def test_the_tile_is_the_one_with_the_fewest_products() -> None:
    assert ANY.best_tile(1, 64, 64, 4) == (4, 4)
    assert ANY.saving(1, 64, 64, 4, (4, 4)) == 4
    assert ANY.best_tile(1, 64, 128, 12) == (3, 4)  # phases of 5 or 6 rows, 10 or 11 columns
    assert ANY.best_tile(1, 64, 64, 36) is None  # phases of 1 or 2 rows: border more than anything
    assert ANY.best_tile(1, 1, 1, 1) is None
    assert BF16.best_tile(1, 64, 64, 4) == (2, 2)
    assert BF16.best_tile(1, 1, 64, 1) is None


def test_no_tile_saves_less_than_to_leave_out_the_padding() -> None:
    """With this dilation the direct convolution multiplies 39 % of what it seems to."""
    shape = (1, 64, 64, 36)
    assert BF16.saving(*shape, (2, 2)) > BF16.least_saving
    assert padding_saving(64, 64, 36) > BF16.saving(*shape, (2, 2))
    assert BF16.best_tile(*shape) is None


def test_tiles_that_are_filled_up_with_zeros_count() -> None:
    """16 tiles of 4 x 4 in one image, 144 in another: 128 and 256 are multiplied."""
    filled = ANY._replace(filled=128)
    assert filled.best_tile(1, 16, 16, 1) is None and filled.best_tile(8, 16, 16, 1) == (4, 4)
    assert filled.best_tile(1, 48, 48, 1) == (3, 3)  # 256 tiles
    assert ANY.best_tile(1, 16, 16, 1) == (4, 4)
