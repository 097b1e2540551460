"""Winograd's convolution against the direct one, in every tile size, with and without kernels."""

from __future__ import annotations

import itertools
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dmnet.optimised import winograd, winograd_kernels
from dmnet.optimised.conv import FusedConv, folded
from dmnet.optimised.winograd import WinogradConv, best_tile, saving
from dmnet.optimised.winograd_kernels import kernels
from dmnet.optimised.winograd_matrices import POINTS, TILES, matrices

BF16 = torch.bfloat16


@pytest.mark.parametrize("m", POINTS)
def test_the_matrices_are_exact(m: int) -> None:
    """For every pair of an input and a tap alone; the rest follows, as both sides are linear."""
    output, filters, inputs = matrices(m)
    for i, tap in itertools.product(range(m + 2), range(3)):
        products = [inputs[j][i] * filters[j][tap] for j in range(m + 2)]
        y = [sum(a * b for a, b in zip(row, products, strict=True)) for row in output]
        assert y == [Fraction(int(k + tap == i)) for k in range(m)]


def make(inputs: int, outputs: int, dilation: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


def error(conv: nn.Conv2d, x: Tensor, got: Tensor) -> float:
    """Of the range of what float64 gives, after a ReLU."""
    expected = conv.double()(x.double()).relu()
    conv.float()
    assert got.shape == expected.shape
    return float((got - expected).abs().max() / expected.max())


@torch.no_grad()
@pytest.mark.parametrize("with_kernels", [True, False])
@pytest.mark.parametrize("tile", TILES["float"])
@pytest.mark.parametrize("dilation", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [(17, 23), (8, 16), (1, 1), (3, 30)])
def test_every_tile_and_dilation(
    tile: tuple[int, int],
    dilation: int,
    size: tuple[int, int],
    with_kernels: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(winograd, "best_tile", lambda *_: tile)
    conv, x = make(32, 16, dilation), torch.randn(2, 32, *size)
    fast = WinogradConv(folded(conv, None), conv, True, with_kernels)
    assert error(conv, x, fast(x)) < 2e-6
    # The same maps in two parts, as a head hands them over.
    assert torch.equal(fast(x[:, :16], x[:, 16:]), fast(x))


@torch.no_grad()
@pytest.mark.parametrize("with_kernels", [True, False])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("size", [(17, 23), (8, 16), (1, 1)])
def test_bf16_rounds_little_more_than_the_direct_convolution_in_bf16(
    dilation: int, size: tuple[int, int], with_kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tile,) = TILES["bf16"]
    monkeypatch.setattr(winograd, "best_tile", lambda *_: tile)
    conv, x = make(64, 32, dilation), torch.randn(2, 64, *size).to(BF16)
    fast = WinogradConv(folded(conv, None), conv, True, with_kernels, BF16)
    direct = FusedConv(folded(conv, None), conv, True, dtype=BF16)
    got = fast(x)
    assert got.dtype == BF16
    assert torch.equal(fast(x[:, :16], x[:, 16:]), got)
    exact = conv.double()(x.double()).relu()
    assert rms(got, exact) < 2 * rms(direct(x), exact) + 1e-3 * float(exact.max())


def rms(got: Tensor, exact: Tensor) -> float:
    return float((got - exact).square().mean().sqrt())


@torch.no_grad()
@pytest.mark.parametrize("tile", [(2, 4), (3, 3), (4, 4)])
def test_larger_tiles_would_round_bf16_more(
    tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is why it has none; there are no kernels for them either."""
    monkeypatch.setattr(winograd, "best_tile", lambda *_: tile)
    conv, x = make(512, 32, 1), torch.randn(1, 512, 24, 24).to(BF16)
    larger = WinogradConv(folded(conv, None), conv, False, False, BF16)(x)
    direct = FusedConv(folded(conv, None), conv, dtype=BF16)(x)
    exact = conv.double()(x.double())
    assert rms(larger, exact) > 2 * rms(direct, exact)


@torch.no_grad()
def test_the_bf16_kernels_round_as_pytorch_does() -> None:
    """Input tiles of 2 x 2 sum up to four pixels; every bit pattern of bf16 comes in."""
    if kernels() is None:
        pytest.skip("no compiler")
    x = torch.arange(2**16).to(torch.uint16).view(BF16).view(1, 64, 64, 16)
    fast, plain = (
        transform([x], (2, 2), 1) for transform in (winograd.input_by_kernel, winograd.input_plain)
    )
    assert torch.equal(fast.isnan(), plain.isnan())
    same = (fast == plain) | plain.isnan()
    assert bool(same.all())


@torch.no_grad()
def test_channels_that_the_kernels_do_not_fit_take_the_plain_transforms() -> None:
    conv, x = make(20, 10, 1), torch.randn(1, 20, 64, 64)
    assert error(conv, x, WinogradConv(folded(conv, None), conv, True)(x)) < 2e-6


def test_the_kernels_compile_where_there_is_a_compiler() -> None:
    there_is_one = shutil.which("cc") is not None or shutil.which("gcc") is not None
    assert (kernels() is not None) == there_is_one


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, BF16])
def test_relu_keeps_what_is_not_a_number(dtype: torch.dtype) -> None:
    """A diverged model shows itself as it does without the kernels."""
    conv, x = make(16, 16, 1), torch.full((1, 16, 64, 64), float("nan"))
    assert bool(WinogradConv(folded(conv, None), conv, True, dtype=dtype)(x).isnan().all())


@torch.no_grad()
def test_filters_are_kept_for_few_kinds_of_tiles() -> None:
    """Images of ever new sizes make no ever larger model."""
    conv = make(16, 16, 4)
    fast, chosen = WinogradConv(folded(conv, None), conv, True), set()
    for side in (64, 48, 45, 36, 33, 29, 28, 24, 20):
        x = torch.randn(1, 16, side, side + 8)
        chosen.add(best_tile(1, side, side + 8, 4))
        assert error(conv, x, fast(x)) < 2e-6
    assert len(chosen) > len(fast.filters) == winograd.MOST_TILES


def test_the_tile_is_the_one_with_the_fewest_products() -> None:
    assert best_tile(1, 64, 64, 4) == (4, 4)
    assert saving(1, 64, 64, 4, "float", (4, 4)) == 4
    assert best_tile(1, 64, 128, 12) == (3, 4)  # phases of 5 or 6 rows, 10 or 11 columns
    assert best_tile(1, 64, 64, 36) is None  # phases of 1 or 2 rows: border more than anything
    assert best_tile(1, 1, 1, 1) is None
    assert best_tile(1, 64, 64, 4, "bf16") == (2, 2)
    assert best_tile(1, 1, 64, 1, "bf16") is None


def test_tiles_that_are_filled_up_with_zeros_count() -> None:
    """16 tiles of 4 x 4 in one image, 144 in another: 128 and 256 are multiplied."""
    assert best_tile(1, 16, 16, 1) is None and best_tile(8, 16, 16, 1) == (4, 4)
    assert best_tile(1, 48, 48, 1) == (3, 3)  # 256 tiles


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if kernels() is None:
        pytest.skip("no compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "dmnet"


def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where each library that is compiled from now on goes."""
    found: list[Path] = []
    compile_into = winograd_kernels.compile_into

    def watched(library: Path, compiler: str, text: str) -> None:
        found.append(library)
        compile_into(library, compiler, text)

    monkeypatch.setattr(winograd_kernels, "compile_into", watched)
    return found


def test_the_second_process_does_not_compile(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compilations(monkeypatch)
    assert kernels.__wrapped__() is not None and kernels.__wrapped__() is not None
    assert found == list(cache.iterdir())  # one, and nothing beside it
    assert cache.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("why", ["damaged", "others may write", "a file in its place"])
def test_without_a_cache_they_are_compiled_for_this_process(
    why: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "damaged":
        monkeypatch.setattr(winograd_kernels, "fingerprint", lambda *_: "damaged")
        cache.mkdir(mode=0o700)
        (cache / "winograd-damaged.so").write_bytes(b"no library")
    elif why == "others may write":
        cache.mkdir()
        cache.chmod(0o777)
    else:
        cache.write_text("")
    found = compilations(monkeypatch)
    assert kernels.__wrapped__() is not None
    assert found[-1].parent != cache
