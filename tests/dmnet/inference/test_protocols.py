"""Views, windows and their averages, against the outputs that the references recorded.

Pictures in `mmseg_tta` are BGR, ours are RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dmnet.config import InferenceConfig, RecipeConfig
from dmnet.data.augment import resize_image
from dmnet.inference.augmented import (
    average_scores,
    interpolated_views,
    make_views,
    predict_scores,
    size_at_scale,
)
from dmnet.inference.windows import sliding_window_logits, window_starts
from dmnet.segmentor import Segmentor
from tests.dmnet.margins import decided

Golden = Callable[[str], Any]
Model = Callable[[str], Segmentor]
Normalisation = Callable[[dict[str, Any]], RecipeConfig]
Fidelity = Callable[..., None]
MMSEG, SSSEG = "inference (mmsegmentation)", "inference (sssegmentation)"


# ------------------------------------------------------------------------------- sliding windows


@pytest.mark.parametrize("corners", ["true", "false"])
def test_windows_begin_where_the_reference_s_do(
    corners: str, golden: Golden, fidelity: Fidelity
) -> None:
    recorded = golden("mmseg_slide_inference")[f"align_corners_{corners}"]
    (height, width), (down, across) = recorded["crop_size"], recorded["stride"]
    ours = [
        [top, top + height, left, left + width]
        for top in window_starts(recorded["input"].shape[2], height, down)
        for left in window_starts(recorded["input"].shape[3], width, across)
    ]
    theirs = [list(window) for window in recorded["windows_y1y2x1x2"]]
    what = f"places of the windows, align_corners {corners}"
    fidelity(MMSEG, what, ours, theirs, source="mmseg_slide_inference")


@torch.no_grad()
@pytest.mark.parametrize("corners", ["true", "false"])
@pytest.mark.parametrize("rows", [65, 30], ids=["larger than a window", "lower than a window"])
def test_sliding_windows_average_as_the_reference_does(
    rows: int, corners: str, reference_model: Model, golden: Golden, fidelity: Fidelity
) -> None:
    recorded = golden("mmseg_slide_inference")[f"align_corners_{corners}"]
    model = reference_model(recorded["weights"])
    assert model.config.align_corners is (corners == "true")
    window, stride = tuple(recorded["crop_size"]), tuple(recorded["stride"])
    ours = sliding_window_logits(model, recorded["input"][:, :, :rows], window, stride)
    theirs = recorded["seg_logits" if rows == 65 else "input_30rows_logits"]
    what = f"sliding windows on {rows} rows, align_corners {corners}"
    source = "mmseg_slide_inference"
    fidelity(MMSEG, f"{what}: logits", ours, theirs, source=source)
    maps = ours.argmax(1), theirs.argmax(1)
    fidelity(MMSEG, f"{what}: label map", *maps, where=decided(theirs), source=source)


# --------------------------------------------------------------- mmsegmentation's scales and flip


def test_pictures_are_resized_and_mirrored_to_the_bit(golden: Golden, fidelity: Fidelity) -> None:
    recorded = golden("mmseg_tta")
    picture = recorded["image_bgr_uint8"].permute(2, 0, 1).contiguous()
    for index, theirs in enumerate(recorded["resized_uint8"]):
        ratio = recorded["ratios"][index // 2]
        ours = resize_image(picture, size_at_scale(*picture.shape[1:], ratio))
        ours = ours.flip(-1) if recorded["metas"][index]["flip"] else ours
        assert recorded["metas"][index]["img_shape"] == list(ours.shape[1:])
        what = f"picture at scale {ratio}, {'mirrored' if index % 2 else 'as it is'}"
        fidelity(MMSEG, what, ours, theirs, source="mmseg_tta")


def test_scales_and_mirror_images_average_as_the_reference_does(
    reference_model: Model, normalisation: Normalisation, golden: Golden, fidelity: Fidelity
) -> None:
    recorded = golden("mmseg_tta")
    model, recipe = reference_model(recorded["weights"]), normalisation(recorded)
    picture = recorded["image_bgr_uint8"].permute(2, 0, 1).flip(0).contiguous()
    protocol = InferenceConfig(flip=True, scales=tuple(recorded["ratios"]))
    scores = predict_scores(model, picture, recipe, protocol)
    what, theirs = "6 scales and flip", recorded["avg_softmax"]
    fidelity(MMSEG, f"probabilities, {what}", scores, theirs, source="mmseg_tta")
    maps, clear = (scores.argmax(0), recorded["pred"]), decided(theirs)
    fidelity(MMSEG, f"label map, {what}", *maps, where=clear, source="mmseg_tta")


def test_one_view_s_logits_are_the_reference_s(
    reference_model: Model, normalisation: Normalisation, golden: Golden, fidelity: Fidelity
) -> None:
    recorded = golden("mmseg_tta")
    model, recipe = reference_model(recorded["weights"]), normalisation(recorded)
    picture = recorded["image_bgr_uint8"].permute(2, 0, 1).flip(0).contiguous()
    both = InferenceConfig(scales=recorded["ratios"][:1], flip=True)
    one = InferenceConfig(scales=recorded["ratios"][:1])
    views = make_views(picture, recipe, both, model.config.align_corners)
    for view, name in zip(views, ("noflip", "flip"), strict=True):
        assert view.mirrored is (name == "flip")
        logits = average_scores(model, [view], tuple(picture.shape[1:]), one)[0]
        what, theirs = f"logits at scale 0.5, {name}", recorded[f"logits_scale0_{name}"]
        fidelity(MMSEG, what, logits, theirs, source="mmseg_tta")


# --------------------------------------------------------------- sssegmentation's scales and flip


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_sssegmentation_averages_coarse_scores(
    average: str, reference_model: Model, golden: Golden, fidelity: Fidelity
) -> None:
    model = reference_model("ssseg_dmnet_r50os8")
    recorded = golden("ssseg_dmnet_r50os8")["tta_logits" if average == "logits" else "tta_probs"]
    protocol = InferenceConfig.model_validate(
        {
            "flip": recorded["flip"],
            "scales": recorded["scales"],
            "average": average,
            "conventions": "sssegmentation",
        }
    )
    views = interpolated_views(recorded["input"], protocol, model.config.align_corners)
    ours = average_scores(model, views, tuple(recorded["out_size"]), protocol)
    what, theirs = f"{average}, 6 scales and flip", recorded["averaged"]
    fidelity(SSSEG, what, ours, theirs, source="ssseg_dmnet_r50os8")
    maps = ours.argmax(1), theirs.argmax(1)
    clear = decided(theirs)
    fidelity(SSSEG, f"label map of {what}", *maps, where=clear, source="ssseg_dmnet_r50os8")


# ------------------------------------------------------------------------------ sizes, and order


@pytest.mark.parametrize(
    ("picture", "scale", "fit", "expected"),
    [
        ((375, 500), 1.0, None, (375, 500)),
        ((375, 500), 1.0, (512, 2048), (512, 683)),  # ADE20K and VOC: the short side becomes 512
        ((500, 375), 1.0, (512, 2048), (683, 512)),  # a portrait picture too
        ((100, 1000), 1.0, (512, 2048), (205, 2048)),  # unless the long side is the limit
        ((1024, 2048), 1.0, (1025, 2049), (1025, 2049)),  # Cityscapes at crop 769
        ((375, 500), 0.75, (65, 99), (48, 64)),  # the target is 48x74: 48.75 and 74.25 cut off
    ],
)
def test_the_size_that_the_network_sees(
    picture: tuple[int, int],
    scale: float,
    fit: tuple[int, int] | None,
    expected: tuple[int, int],
) -> None:
    assert size_at_scale(*picture, scale, fit) == expected


def test_the_two_zoos_differ_where_the_network_sees_another_size(
    reference_model: Model, normalisation: Normalisation, golden: Golden
) -> None:
    """Two resizes of the logits are not one; without `fit_size` there is only one to do."""
    recorded = golden("mmseg_tta")
    picture = recorded["image_bgr_uint8"].permute(2, 0, 1)[:, :64, :96].contiguous()
    model, recipe = reference_model(recorded["weights"]), normalisation(recorded)

    def scores(conventions: str, fit: list[int] | None) -> torch.Tensor:
        values = {"conventions": conventions, "fit_size": fit, "average": "logits"}
        return predict_scores(model, picture, recipe, InferenceConfig.model_validate(values))

    zoos = "mmsegmentation", "sssegmentation"
    own, fitted = ([scores(zoo, fit) for zoo in zoos] for fit in (None, [48, 80]))
    assert torch.equal(*own)
    assert float((fitted[0] - fitted[1]).abs().max()) > 1e-3 * float(fitted[0].abs().max())
