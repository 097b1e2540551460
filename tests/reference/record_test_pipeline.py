"""Photographs through the references' whole test pipelines: file -> resize -> network -> label map.

Run by hand, with the environment that install.sh makes (README.md):

    PYTHONPATH=tests/reference/site DIR/bin/python tests/reference/record_test_pipeline.py

The networks are those of tests/golden/mmseg_dmnet_r50d8{,_769}.pt and ssseg_dmnet_r50os8.pt, the
photographs are drawn here. mmsegmentation: LoadImageFromFile, Resize, LoadAnnotations,
PackSegInputs, the model's `test_step` and IoUMetric, as its configuration files set them up.
sssegmentation: Resize, Normalize, ToTensor and `auginference`; then what its test.py, which asks
for a GPU, does with the result.

Writes tests/golden/{mmseg,ssseg}_test_pipeline.pt: per case `photograph` (RGB, uint8), the
settings, `network_sizes` (what the network saw), `logits` (every 5th pixel of the scores at the
photograph's size) and `labels`; of mmsegmentation also `ground_truth` before and after loading, and
the `metric` of all cases that share a network.
"""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import mmseg.datasets
import mmseg.models  # noqa: F401  (registers the models)
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmseg.evaluation import IoUMetric
from mmseg.registry import MODELS
from ssseg.modules import BuildSegmentor
from ssseg.modules.datasets.pipelines import BuildDataTransform
from torch import Tensor, nn

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CLASSES = 19
# Sizes are (height, width); a scale is (width, height), as in the configuration files.
MMSEG_CASES: dict[str, dict[str, Any]] = {
    "whole, landscape, enlarged": {"size": [60, 91], "scale": [512, 96]},
    "whole, portrait, enlarged": {"size": [97, 64], "scale": [160, 80]},
    "whole, landscape, reduced": {"size": [123, 200], "scale": [128, 64]},
    "whole, its own size": {"size": [64, 128], "scale": [128, 64]},
    "slide, landscape, enlarged": {"size": [64, 128], "scale": [129, 65], "windows": True},
    "slide, portrait, enlarged": {"size": [90, 50], "scale": [128, 64], "windows": True},
}
SSSEG_CASES: dict[str, dict[str, Any]] = {
    "whole, landscape, enlarged": {"size": [60, 91], "scale": [512, 96]},
    "whole, portrait, reduced": {"size": [140, 77], "scale": [100, 64]},
    "whole, its own size": {"size": [64, 128], "scale": [128, 64]},
    "slide": {"size": [64, 100], "scale": [110, 80], "windows": True},
    "slide, scales, flip, probabilities": {
        **{"size": [61, 90], "scale": [100, 66], "windows": True, "probabilities": True},
        **{"scales": [0.75, 1.0, 1.25], "flip": True},
    },
    "whole, scales, flip": {
        **{"size": [61, 90], "scale": [100, 66], "scales": [0.5, 1.0, 1.75], "flip": True}
    },
}
WINDOW, STRIDE = [33, 33], [22, 22]
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def photograph(size: list[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth colours with noise (h, w, 3), and ADE20K's kind of labels: 0 unlabelled, 1 to 19."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.integers(0, 256, (height // 12 + 2, width // 12 + 2, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
    regions = rng.integers(0, CLASSES + 1, (5, 7)).astype(np.uint8)
    return image, cv2.resize(regions, (width, height), interpolation=cv2.INTER_NEAREST)


def watch_sizes(model: nn.Module, backbone: nn.Module) -> list[list[int]]:
    sizes: list[list[int]] = []
    backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(list(inputs[0].shape[2:])))
    return sizes


# ------------------------------------------------------------------------------- mmsegmentation


def mmsegmentation(fixture: str, windows: bool) -> nn.Module:
    recorded = torch.load(GOLDEN / f"{fixture}.pt", weights_only=True)
    config = json.loads(recorded["config_json"])
    slide = {"mode": "slide", "crop_size": WINDOW, "stride": STRIDE}
    config["test_cfg"] = slide if windows else {"mode": "whole"}
    model = MODELS.build(ConfigDict(config))
    model.load_state_dict(recorded["checkpoint"]["state_dict"])
    return model.eval()


def record_mmseg(fixture: str, cases: dict[str, dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The results of one network: cases and the metric over all of them."""
    model = mmsegmentation(fixture, any("windows" in case for case in cases.values()))
    sizes = watch_sizes(model, model.backbone)
    metric = IoUMetric(iou_metrics=["mIoU"])
    metric.dataset_meta = {"classes": [str(index) for index in range(CLASSES)]}
    found = {}
    for seed, (name, case) in enumerate(cases.items()):
        image, truth = photograph(case["size"], seed)
        cv2.imwrite(str(folder / "image.png"), image[..., ::-1])
        cv2.imwrite(str(folder / "truth.png"), truth)
        pipeline = Compose(
            [
                {"type": "LoadImageFromFile"},
                {"type": "Resize", "scale": tuple(case["scale"]), "keep_ratio": True},
                {"type": "LoadAnnotations", "reduce_zero_label": True},
                {"type": "PackSegInputs"},
            ]
        )
        paths = {"img_path": str(folder / "image.png"), "seg_map_path": str(folder / "truth.png")}
        packed = pipeline({**paths, "reduce_zero_label": True, "seg_fields": []})
        sizes.clear()
        with torch.no_grad():
            result = model.test_step(
                {"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]}
            )[0]
        metric.process({}, [result.to_dict()])
        found[name] = {
            **case,
            "photograph": torch.from_numpy(image),
            "ground_truth": torch.from_numpy(truth),
            "ground_truth_loaded": result.gt_sem_seg.data[0].to(torch.uint8),
            "network_sizes": copy.deepcopy(sizes),
            "logits": result.seg_logits.data[:, ::5, ::5].clone(),
            "labels": result.pred_sem_seg.data[0].to(torch.uint8),
        }
    # Percent, two places.
    summary = {key: float(value) for key, value in metric.compute_metrics(metric.results).items()}
    return {"weights": fixture, "cases": found, "metric": summary}


# ------------------------------------------------------------------------------- sssegmentation


def record_ssseg(fixture: str, cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    recorded = torch.load(GOLDEN / f"{fixture}.pt", weights_only=True)
    found = {}
    for seed, (name, case) in enumerate(cases.items()):
        config = json.loads(recorded["config_json"])
        windows = {"mode": "slide", "cropsize": WINDOW, "stride": STRIDE}
        whole = {"mode": "whole", "cropsize": None, "stride": None}
        config["inference"]["forward"] = windows if "windows" in case else whole
        config["inference"]["tta"] = {
            "multiscale": case.get("scales", [1]),
            "flip": case.get("flip", False),
            "use_probs_before_resize": case.get("probabilities", False),
        }
        config["dataset"] = {"train": {"data_pipelines": []}}
        model = BuildSegmentor(segmentor_cfg=config, mode="TEST")
        model.load_state_dict(recorded["checkpoint"]["model"])
        model.eval()
        sizes = watch_sizes(model, model.backbone_net)
        image, _ = photograph(case["size"], seed)
        sample = {"image": np.ascontiguousarray(image[..., ::-1])}
        for step in (
            {"type": "Resize", "output_size": tuple(case["scale"]), "scale_range": None},
            {"type": "Normalize", "mean": MEAN, "std": STD},
            {"type": "ToTensor"},
        ):
            sample = BuildDataTransform(step)(sample)
        with torch.no_grad():
            maps = model.auginference(sample["image"][None])
        scores = averaged(maps, case["size"], config["align_corners"])
        found[name] = {
            **case,
            "photograph": torch.from_numpy(image),
            "network_sizes": copy.deepcopy(sizes),
            "logits": scores[:, ::5, ::5].clone(),
            "labels": scores.argmax(0).to(torch.uint8),
        }
    return {"weights": fixture, "cases": found}


def averaged(maps: list[Tensor], size: list[int], align_corners: bool) -> Tensor:
    """What sssegmentation's test.py does with the maps: each to the photograph's size, mean."""
    options: dict[str, Any] = {"mode": "bilinear", "align_corners": align_corners}
    resized = [F.interpolate(scores, size=tuple(size), **options) for scores in maps]
    return (sum(resized) / len(resized))[0]  # type: ignore[return-value]


def main() -> None:
    torch.set_num_threads(2)
    init_default_scope("mmseg")
    MMLogger.get_current_instance().setLevel("ERROR")
    whole = {name: case for name, case in MMSEG_CASES.items() if "windows" not in case}
    slide = {name: case for name, case in MMSEG_CASES.items() if "windows" in case}
    with tempfile.TemporaryDirectory() as folder:
        recorded = [
            record_mmseg("mmseg_dmnet_r50d8", whole, Path(folder)),
            record_mmseg("mmseg_dmnet_r50d8_769", slide, Path(folder)),
        ]
    settings = {"window": WINDOW, "stride": STRIDE, "mean": MEAN, "std": STD}
    mmseg_content = {**settings, "recorded": recorded}
    torch.save(mmseg_content, GOLDEN / "mmseg_test_pipeline.pt")
    recorded = [record_ssseg("ssseg_dmnet_r50os8", SSSEG_CASES)]
    torch.save({**settings, "recorded": recorded}, GOLDEN / "ssseg_test_pipeline.pt")


if __name__ == "__main__":
    main()
