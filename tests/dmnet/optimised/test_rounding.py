"""How far the optimised form is from the truth: as far as the plain modules, which round, too.

Both are float32. At the published width their logits differ by 3e-6 of their range. The recordings'
narrow networks magnify rounding more: there the two can be 1e-4 of the range apart, and neither is
the better one. So both are compared with the plain modules in float64.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dmnet.importers import ZOOS
from dmnet.optimised import optimised
from dmnet.segmentor import Segmentor
from tests.dmnet.optimised.test_optimised import RESNET, images, trained
from tests.dmnet.reference_models import our_model

TIMES = 3  # as far from float64 as the plain modules
SMALL = 2e-6  # of the logits' range: always allowed
AT_FULL_WIDTH = 1e-5  # apart

WIDTHS = {
    "DMNet": ({**RESNET, "width": 64}, {"name": "dmnet", "channels": 512}),
    "DeepLabV3": ({**RESNET, "width": 64}, {"name": "aspp", "channels": 512}),
    "BiSeNetV2": ({"name": "bisenetv2"}, {"name": "fcn", "channels": 1024, "convolutions": 1}),
}
NARROW = (
    "mmseg_dmnet_r50d8",
    "mmseg_dmnet_r50d8_769",
    "mmseg_deeplabv3_r50d8",
    "mmseg_bisenetv2",
    "ssseg_dmnet_r50os8",
)


def error(logits: Tensor, exact: Tensor) -> float:
    """The largest, as a part of the range of the logits in float64."""
    assert logits.shape == exact.shape
    return float((logits.double() - exact).abs().max() / (exact.max() - exact.min()))


@torch.no_grad()
def check(model: Segmentor, x: Tensor) -> float:
    """Asserts that the optimised form is about as exact; returns how far apart the two are."""
    plain, fast = model(x).main, optimised(model)(x).main
    exact = copy.deepcopy(model).double()(x.double()).main
    assert error(fast, exact) <= max(TIMES * error(plain, exact), SMALL)
    return error(fast, plain.double())


@pytest.mark.parametrize("name", WIDTHS)
def test_at_the_published_width(name: str) -> None:
    backbone, head = WIDTHS[name]
    assert check(trained(backbone, head), images(1, 97, 129)) <= AT_FULL_WIDTH


@pytest.mark.parametrize("fixture", NARROW)
def test_in_the_recordings_narrow_networks(fixture: str, golden: Callable[[str], Any]) -> None:
    content = golden(fixture)
    config, classes, zoo = our_model(content)
    model = Segmentor(config, classes).eval()
    model.load_state_dict(ZOOS[zoo].to_ours(ZOOS[zoo].unwrap(content["checkpoint"]), model))
    for size in ((1, 65, 97), (2, 64, 64)):
        check(model, images(*size))
