"""Our models compute what the references computed, given the references' checkpoints.

The fixtures in tests/golden were recorded from mmsegmentation 1.2.2 and sssegmentation 1.7.0 at
reduced widths: an untrained checkpoint, inputs, and what backbone, heads and resizing gave. Those
of output stride 16 come from tests/reference/record_models.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dmnet.importers import ZOOS
from dmnet.layers import resize_bilinear
from dmnet.segmentor import Segmentor
from tests.dmnet.margins import decided
from tests.dmnet.reference_models import our_model

Fidelity = Callable[..., None]
FIXTURES = {
    "mmseg_dmnet_r50d8": "DMNet (mmsegmentation)",
    "mmseg_dmnet_r50d8_769": "DMNet 769x769 (mmsegmentation)",
    "mmseg_deeplabv3_r50d8": "DeepLabV3 (mmsegmentation)",
    "mmseg_fcn_r50d8": "FCN (mmsegmentation)",
    "mmseg_bisenetv2": "BiSeNetV2 (mmsegmentation)",
    "ssseg_dmnet_r50os8": "DMNet (sssegmentation)",
    # Output stride 16, where the first block of a dilated stage keeps the dilation before it, too.
    "mmseg_dmnet_r50d16": "DMNet D16, plain stem, fusion, even kernels (mmsegmentation)",
    "mmseg_deeplabv3_r101d16": "DeepLabV3 R-101-D16 (mmsegmentation)",
    "ssseg_dmnet_r50os16": "DMNet OS16, plain stem, fusion, even kernels (sssegmentation)",
}
CASES = ("case_65x97", "case_64x64_b2")


class Recorded:
    """A fixture, and our model with its checkpoint."""

    def __init__(self, fixture: str, content: dict[str, Any]) -> None:
        config, classes, zoo = our_model(content)
        self.fixture, self.content, self.name = fixture, content, FIXTURES[fixture]
        self.model = Segmentor(config, classes).eval()
        state = ZOOS[zoo].unwrap(content["checkpoint"])
        self.model.load_state_dict(ZOOS[zoo].to_ours(state, self.model))


@pytest.fixture(scope="module", params=FIXTURES)
def recorded(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Recorded:
    return Recorded(request.param, golden(request.param))


@pytest.mark.parametrize("case", CASES)
def test_logits_and_label_map_are_the_references(
    recorded: Recorded, case: str, golden: Callable[[str], Any], fidelity: Fidelity
) -> None:
    theirs = recorded.content[case]
    with torch.no_grad():
        logits = recorded.model(theirs["input"]).main
        size = (theirs["input"].shape[2], theirs["input"].shape[3])
        resized = resize_bilinear(logits, size, recorded.model.config.align_corners)
    exact: dict[str, Tensor | None] = dict.fromkeys(("logits", "logits at the input's size"))
    if recorded.fixture in golden("float64")["logits"]:
        exact["logits"] = golden("float64")["logits"][recorded.fixture][case]["logits"]
        aligned = recorded.model.config.align_corners
        exact["logits at the input's size"] = resize_bilinear(exact["logits"], size, aligned)
    labels, their_labels = resized.argmax(1), theirs["logits_resized"].argmax(1)
    for what, a, b in (
        ("logits", logits, theirs["logits"]),
        ("logits at the input's size", resized, theirs["logits_resized"]),
    ):
        compare = {"source": recorded.fixture, "exact": exact[what]}
        fidelity(recorded.name, f"{what}, {case}", a, b, **compare)
    # Where there are logits in float64, those of float32 may be 3e-5 from them.
    compare = {"source": recorded.fixture, "where": decided(theirs["logits_resized"], 1e-4)}
    fidelity(recorded.name, f"label map, {case}", labels, their_labels, **compare)


@pytest.mark.parametrize("case", CASES)
def test_logits_in_float64(
    recorded: Recorded, case: str, golden: Callable[[str], Any], fidelity: Fidelity
) -> None:
    """Where rounding is out of the way, and however a network magnifies it."""
    exact = golden("float64")["logits"].get(recorded.fixture)
    if exact is None:
        assert recorded.fixture.startswith("ssseg")
        return
    model, x = copy.deepcopy(recorded.model).double(), recorded.content[case]["input"].double()
    with torch.no_grad():
        ours = model(x).main
        features = model.backbone(x)
        for (name, head), expected in zip(
            model.auxiliary.items(), exact[case]["auxiliary"], strict=True
        ):
            stage = model.config.auxiliary[name].stage
            what = f"auxiliary logits of stage {stage}, {case}, float64"
            of_head = head(features[: stage - 1])
            fidelity(recorded.name, what, of_head, expected, limit=1e-8, source="float64")
    what = f"logits, {case}, float64"
    fidelity(recorded.name, what, ours, exact[case]["logits"], limit=1e-8, source="float64")


@pytest.mark.parametrize("case", CASES)
def test_auxiliary_logits_are_the_references(
    recorded: Recorded, case: str, golden: Callable[[str], Any], fidelity: Fidelity
) -> None:
    model, theirs = recorded.model, recorded.content[case]
    in_float64 = golden("float64")["logits"].get(recorded.fixture)
    exact = in_float64[case]["auxiliary"] if in_float64 else [None] * len(model.auxiliary)
    with torch.no_grad():
        features = model.backbone(theirs["input"])
        for (name, head), expected, true in zip(
            model.auxiliary.items(), theirs["aux_logits"], exact, strict=True
        ):
            stage = model.config.auxiliary[name].stage
            what = f"auxiliary logits of stage {stage}, {case}"
            ours = head(features[: stage - 1])
            fidelity(recorded.name, what, ours, expected, source=recorded.fixture, exact=true)


@pytest.mark.parametrize("case", CASES)
def test_feature_maps_are_the_references(recorded: Recorded, case: str, fidelity: Fidelity) -> None:
    """Shapes for every model; sums of absolute values and the maps themselves where recorded."""
    theirs = recorded.content[case]
    with torch.no_grad():
        features = in_their_order(recorded, recorded.model.backbone(theirs["input"]))
    shapes = [list(feature.shape) for feature in features]
    assert shapes == theirs["feat_shapes"]
    for index, expected in enumerate(theirs.get("feat_sum_abs", [])):
        total = float(features[index].double().abs().sum())
        what = f"sum of feature map {index}, {case}"
        fidelity(recorded.name, what, total, expected, source=recorded.fixture)
    for index, expected in enumerate(theirs.get("feats", [])):
        what = f"feature map {index}, {case}"
        fidelity(recorded.name, what, features[index], expected, source=recorded.fixture)


def in_their_order(recorded: Recorded, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """BiSeNetV2's aggregated feature is its index 0; sssegmentation keeps stages 4 and 5."""
    if recorded.fixture == "mmseg_bisenetv2":
        return features[-1:] + features[:-1]
    return features[-2:] if recorded.fixture.startswith("ssseg") else features


def test_the_feature_maps_themselves_are_recorded_for_dmnet(golden: Callable[[str], Any]) -> None:
    """Guards the comparison above, which compares maps only where they were recorded."""
    assert len(golden("mmseg_dmnet_r50d8")["case_65x97"]["feats"]) == 4
