"""The optimised form computes what the plain modules do: every backbone, every head, any size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dmnet.config import InferenceConfig, ModelConfig, RecipeConfig
from dmnet.inference.augmented import predict_scores
from dmnet.inference.windows import sliding_window_logits
from dmnet.optimised import Options, conv, optimised, tiles, winograd
from dmnet.optimised.matrices import TILES, Tile
from dmnet.optimised.winograd import WinogradConv
from dmnet.segmentor import Segmentor
from tests.dmnet.heads.test_heads import SETTINGS
from tests.pretended_gpu import GPU, pretended_gpu

CLASSES = 5
LIMIT = 1e-5  # of the logits' range

RESNET = {"name": "resnet", "width": 8}
BISENETV2 = {
    "name": "bisenetv2",
    "detail_channels": [16, 16, 32],
    "semantic_channels": [8, 8, 16, 32],
    "aggregation_channels": 32,
}
BACKBONES = [
    pytest.param(RESNET, id="r50-d8"),
    pytest.param({**RESNET, "depth": 101, "stem": "deep", "output_stride": 16}, id="r101v1c-d16"),
    pytest.param(BISENETV2, id="bisenetv2"),
]
ALWAYS, NEVER = 1, 10**9  # channels from which Winograd's convolutions are taken
BOTH = pytest.mark.parametrize("winograd_from", [ALWAYS, NEVER])


@pytest.fixture(autouse=True)
def winograd_on_small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """`winograd_from=1` takes it on narrow networks; this, where it does not pay."""

    def fewest(n: int, h: int, w: int, d: int, among: Iterable[Tile] = TILES) -> Tile:
        return max(among, key=lambda tile: tiles.saving(n, h, w, d, tile))

    monkeypatch.setattr(tiles, "best_tile", fewest)


def trained(
    backbone: dict[str, Any], head: dict[str, Any], align_corners: bool = False
) -> Segmentor:
    """Random weights; normalisation away from its start, so that folding it has something to do."""
    torch.manual_seed(0)
    config = ModelConfig.model_validate(
        {
            "backbone": backbone,
            "head": {"channels": 16, **head},
            "auxiliary": {"stage4": {"head": {"name": "fcn", "channels": 4}}},
            "align_corners": align_corners,
        }
    )
    model = Segmentor(config, CLASSES).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 1.5),
            ):
                nn.init.uniform_(tensor, low, high)
    return model


def images(n: int, height: int, width: int) -> Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def difference(ours: Tensor, expected: Tensor) -> float:
    assert ours.shape == expected.shape and ours.dtype == expected.dtype
    return float((ours - expected).abs().max() / (expected.max() - expected.min()))


@torch.no_grad()
def compare(model: Segmentor, winograd_from: int, size: tuple[int, int, int]) -> None:
    x = images(*size)
    expected, got = model(x), optimised(model, Options(winograd_from))(x)
    assert got.auxiliary == {}
    assert difference(got.main, expected.main) <= LIMIT


@BOTH
@pytest.mark.parametrize("settings", SETTINGS)
def test_every_head_gives_the_same_logits(settings: dict[str, Any], winograd_from: int) -> None:
    compare(trained(RESNET, settings), winograd_from, (1, 65, 97))
    compare(trained(RESNET, settings), winograd_from, (2, 64, 64))


@BOTH
@pytest.mark.parametrize("size", [(1, 65, 97), (2, 64, 128), (1, 33, 40), (1, 8, 8)])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_gives_the_same_logits(
    backbone: dict[str, Any], size: tuple[int, int, int], winograd_from: int
) -> None:
    head = {"name": "fcn"} if backbone["name"] == "bisenetv2" else {"name": "dmnet"}
    compare(trained(backbone, head), winograd_from, size)


@pytest.mark.parametrize("align_corners", [False, True])
def test_sliding_windows_and_aligned_corners(align_corners: bool) -> None:
    model = trained(RESNET, {"name": "dmnet"}, align_corners)
    fast, x = optimised(model, Options(ALWAYS)), images(1, 57, 83)
    with torch.no_grad():
        expected = sliding_window_logits(model, x, (40, 40), (24, 24))
        assert difference(sliding_window_logits(fast, x, (40, 40), (24, 24)), expected) <= LIMIT


def test_scales_and_mirror_images() -> None:
    model = trained(RESNET, {"name": "aspp"})
    fast = optimised(model, Options(ALWAYS))
    picture = torch.randint(0, 256, (3, 48, 64), dtype=torch.uint8)
    recipe = RecipeConfig(lr=1, weight_decay=0, iterations=1, batch_size=1, crop_size=(8, 8))
    protocol = InferenceConfig(flip=True, scales=(0.75, 1.0, 1.25), average="logits")
    expected = predict_scores(model, picture, recipe, protocol)
    assert difference(predict_scores(fast, picture, recipe, protocol), expected) <= LIMIT


def test_one_form_serves_images_of_many_sizes() -> None:
    """What is kept from the first image (oneDNN's layout of the weights) fits the others."""
    model = trained(RESNET, {"name": "dmnet"})
    fast = optimised(model, Options(ALWAYS))
    for size in ((1, 64, 64), (1, 41, 77), (3, 24, 24), (1, 64, 64)):
        with torch.no_grad():
            x = images(*size)
            assert difference(fast(x).main, model(x).main) <= LIMIT


def test_the_model_itself_stays_as_it_is() -> None:
    model = trained(RESNET, {"name": "dmnet"}).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = optimised(model)
    with torch.no_grad():
        fast(images(2, 32, 32))
    assert model.training and len(model.auxiliary) == 1 and not fast.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_narrow_networks_keep_the_direct_convolution_by_default() -> None:
    model = trained(RESNET, {"name": "dmnet"})

    def winograds(form: Segmentor) -> int:
        return sum(isinstance(module, WinogradConv) for module in form.modules())

    assert winograds(optimised(model)) == 0
    # Stages 2 to 5 have 3 + 3 + 6 + 3 of stride 1, and the head its bottleneck.
    assert winograds(optimised(model, Options(ALWAYS))) == 16


@pytest.mark.parametrize("settings", [{"name": "dmnet"}, {"name": "aspp"}], ids=["dmnet", "aspp"])
def test_without_onednn_it_is_pytorch_s_own_convolution(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, or where PyTorch was built without it."""
    monkeypatch.setattr(conv, "by_onednn", lambda _: False)
    monkeypatch.setattr(winograd, "by_onednn", lambda _: False)
    compare(trained(RESNET, settings), ALWAYS, (2, 41, 64))


@pytest.mark.parametrize("settings", SETTINGS)
def test_on_another_device_it_is_folded_and_merged_only(settings: dict[str, Any]) -> None:
    """The device without values stands for a GPU: nothing made for CPUs is built or called."""
    model = trained(RESNET, settings).to("meta")
    form = optimised(model, Options(ALWAYS))
    assert not any(isinstance(module, WinogradConv) for module in form.modules())
    pictures = torch.empty(2, 3, 33, 49, device="meta")
    assert form(pictures).main.shape == model(pictures).main.shape


def test_in_bfloat16_images_and_logits_stay_in_float32_on_a_pretended_gpu() -> None:
    with pretended_gpu():
        model = trained(RESNET, {"name": "dmnet"}).to(GPU)
        fast = optimised(model, Options(precision="bf16"))
        assert {buffer.dtype for buffer in fast.buffers()} == {torch.bfloat16}
        assert fast(images(1, 64, 64).to(GPU)).main.dtype == torch.float32


def test_on_a_cpu_it_says_that_it_computes_in_float32(caplog: pytest.LogCaptureFixture) -> None:
    fast = optimised(trained(RESNET, {"name": "dmnet"}), Options(precision="bf16"))
    assert {buffer.dtype for buffer in fast.buffers()} == {torch.float32}
    assert "on a CPU the optimised model computes in float32" in caplog.text
