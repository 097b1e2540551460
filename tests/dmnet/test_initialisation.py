"""Every parameter of a fresh model is drawn by the law that the reference draws it by.

tests/golden/initialisation.json says which one for each of the references' parameters; it was
recorded from their own fresh models (tests/reference/record_initialisation.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dmnet.config import ModelConfig
from dmnet.importers import ZOOS
from dmnet.segmentor import Segmentor
from tests.dmnet.reference_models import our_model
from tests.reference.laws import laws

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
RECORDED: dict[str, dict[str, str]] = json.loads((GOLDEN / "initialisation.json").read_text())
MODELS = {
    "mmseg_dmnet_r50d8": "DMNet (mmsegmentation)",
    "mmseg_deeplabv3_r50d8": "DeepLabV3 (mmsegmentation)",
    "mmseg_fcn_r50d8": "FCN (mmsegmentation)",
    "mmseg_bisenetv2": "BiSeNetV2 (mmsegmentation)",
    "ssseg_dmnet_r50os8": "DMNet (sssegmentation)",
}


@pytest.mark.parametrize("fixture", MODELS)
def test_every_parameter_starts_by_the_references_law(
    fixture: str, golden: Callable[[str], Any], fidelity: Callable[..., None]
) -> None:
    config, classes, zoo = our_model(golden(fixture))
    torch.manual_seed(1)
    model = Segmentor(config, classes)
    names = ZOOS[zoo].names(model)
    ours = {names[name]: law for name, law in laws(model).items()}
    theirs = RECORDED[fixture]
    different = {name: (ours.get(name), law) for name, law in theirs.items() if ours[name] != law}
    assert not different
    fidelity(
        MODELS[fixture],
        "law of the initialisation of every parameter",
        sorted(ours.items()),
        sorted(theirs.items()),
        source="initialisation.json",
    )


def test_all_laws_occur_in_the_recording() -> None:
    """Guards the comparison above: residual blocks start at zero, and so on."""
    laws_of = {fixture: Counter(found.values()) for fixture, found in RECORDED.items()}
    assert set(laws_of["mmseg_dmnet_r50d8"]) == {"he", "torch", "small", "zeros", "ones"}
    assert set(laws_of["ssseg_dmnet_r50os8"]) == {"torch", "zeros", "ones"}
    assert RECORDED["mmseg_dmnet_r50d8"]["backbone.layer3.2.bn3.weight"] == "zeros"
    # Its initialisation does not reach the classifiers of several auxiliary heads.
    assert RECORDED["mmseg_bisenetv2"]["auxiliary_head.2.conv_seg.weight"] == "torch"
    assert RECORDED["mmseg_dmnet_r50d8"]["auxiliary_head.conv_seg.weight"] == "small"


@pytest.mark.parametrize(("name", "expected"), [("he", "zeros"), ("torch", "ones")])
def test_initialisation_is_a_setting(name: str, expected: str) -> None:
    config = ModelConfig.model_validate(
        {
            "backbone": {"name": "resnet", "width": 4},
            "head": {"name": "fcn", "channels": 4},
            "initialisation": name,
        }
    )
    assert laws(Segmentor(config, 3))["backbone.layer1.0.bn3.weight"] == expected
