"""From photograph to label map and mIoU, as both references' whole test pipelines do it.

Recorded by tests/reference/record_test_pipeline.py: landscape and portrait photographs, fitted
into larger and smaller sizes, whole and by windows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dmnet.config import DataIdentity, InferenceConfig, RecipeConfig
from dmnet.data.dataset import label_lookup
from dmnet.inference.augmented import make_views, predict_scores
from dmnet.inference.metrics import ConfusionMatrix
from dmnet.segmentor import Segmentor
from tests.dmnet.margins import decided

Model = Callable[[str], Segmentor]
Normalisation = Callable[[dict[str, Any]], RecipeConfig]
Fidelity = Callable[..., None]
CLASSES = 19
# As ADE20K is read: 0 is unlabelled, the classes follow.
LABELS = DataIdentity(
    **{"name": "ade", "layout": "ade20k", "classes": CLASSES, "ignore_index": 255},
    **{"label_map": {0: 255, **{i + 1: i for i in range(CLASSES)}}, "split": "val"},
    generate=None,
)


def protocol(case: dict[str, Any], recorded: dict[str, Any], zoo: str) -> InferenceConfig:
    windows = {"mode": "slide", "window": recorded["window"], "stride": recorded["stride"]}
    width, height = case["scale"]
    return InferenceConfig.model_validate(
        {
            **(windows if "windows" in case else {}),
            "fit_size": (height, width),
            "scales": case.get("scales", [1.0]),
            "flip": case.get("flip", False),
            "average": "probabilities" if case.get("probabilities") else "logits",
            "conventions": zoo,
        }
    )


@pytest.mark.parametrize("zoo", ["mmsegmentation", "sssegmentation"])
def test_photographs_become_the_same_label_maps(
    zoo: str,
    golden: Callable[[str], Any],
    reference_model: Model,
    normalisation: Normalisation,
    fidelity: Fidelity,
) -> None:
    source = "mmseg_test_pipeline" if zoo == "mmsegmentation" else "ssseg_test_pipeline"
    recorded = golden(source)
    name, recipe = f"inference ({zoo})", normalisation(recorded)
    for network in recorded["recorded"]:
        model = reference_model(network["weights"])
        matrix = ConfusionMatrix.empty(CLASSES)
        for title, case in network["cases"].items():
            picture = case["photograph"].permute(2, 0, 1).contiguous()
            config = protocol(case, recorded, zoo)
            what = f"photograph to {{}}; {title}"
            if config.mode == "whole":
                views = make_views(picture, recipe, config, model.config.align_corners)
                sizes = [list(view.images.shape[2:]) for view in views]
                fidelity(
                    name, what.format("network size"), sizes, case["network_sizes"], source=source
                )
            scores = predict_scores(model, picture, recipe, config)
            labels, their_labels = scores.argmax(0), case["labels"].long()
            clear = decided(scores)
            sampled = scores[:, ::5, ::5]
            fidelity(name, what.format("scores"), sampled, case["logits"], source=source)
            maps = labels, their_labels
            fidelity(name, what.format("label map"), *maps, where=clear, source=source)
            if "ground_truth" in case:
                truth = torch.from_numpy(label_lookup(LABELS)[case["ground_truth"].numpy()])
                theirs = case["ground_truth_loaded"].long()
                fidelity(name, what.format("loaded labels"), truth, theirs, source=source)
                matrix.add(labels.where(clear, their_labels), truth, LABELS.ignore_index)
        for key, ours in (("mIoU", matrix.miou()), ("aAcc", matrix.pixel_accuracy())):
            if "metric" in network:
                percent = float(np.round(np.float32(100 * ours), 2))
                what = f"{key} in percent of all photographs; {network['weights']}"
                fidelity(name, what, percent, network["metric"][key], source=source, limit=0)
