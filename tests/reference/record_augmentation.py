"""Record tests/golden/augmentation.pt: samples as mmsegmentation and sssegmentation augment them.

    PYTHONPATH=tests/reference/site <reference python> tests/reference/record_augmentation.py

`cases`: whole training pipelines of the released configurations, at small sizes. NumPy's global
random functions are answered from one `numpy.random.default_rng(seed)` per sample, so whoever draws
the same numbers in the same order must get the same sample.

`distributions`: what the transforms draw with NumPy's own global generator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.models import SegDataPreProcessor
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules
from ssseg.modules.datasets.pipelines.transforms import BuildDataTransform

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "augmentation.pt"
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
DRAWS = 1500

# The released pipelines: fit_size and crop_size (height, width), and the settings of our recipe.
LYING = {"fit_size": (48, 96), "crop_size": (24, 40)}
SQUARE = {"fit_size": (32, 128), "crop_size": (28, 28)}
CASES: list[tuple[str, str, dict[str, Any], str, int]] = [
    # name, zoo, sizes, picture, samples
    ("cityscapes", "mmsegmentation", LYING, "lying", 4),
    ("ade20k", "mmsegmentation", SQUARE, "upright", 4),
    ("voc", "mmsegmentation", {**SQUARE, "padding": "black"}, "lying", 4),
    ("one class prevails", "mmsegmentation", SQUARE, "prevailing", 4),
    ("a single class", "mmsegmentation", SQUARE, "single", 2),
    ("no labels", "mmsegmentation", SQUARE, "unlabelled", 2),
    ("cityscapes", "sssegmentation", LYING, "lying", 4),
    ("ade20k", "sssegmentation", SQUARE, "upright", 4),
    ("one class prevails", "sssegmentation", SQUARE, "prevailing", 4),
    ("a single class", "sssegmentation", SQUARE, "single", 2),
    ("no labels: left uncropped", "sssegmentation", SQUARE, "unlabelled", 3),
    ("upright sample, lying crop", "sssegmentation", LYING, "narrow", 3),
]


def picture(name: str) -> tuple[np.ndarray, np.ndarray]:
    """(image (h, w, 3) uint8 RGB, label (h, w) uint8 with 255 unlabelled)."""
    rng = np.random.default_rng(sum(map(ord, name)))
    height, width = {"upright": (60, 44), "narrow": (90, 20)}.get(name, (40, 70))
    coarse = rng.integers(0, 256, (height // 5 + 1, width // 5 + 1, 3))
    image = np.kron(coarse, np.ones((5, 5, 1)))[:height, :width]
    image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    label = np.kron(rng.integers(0, 6, (height // 10 + 1, width // 10 + 1)), np.ones((10, 10)))
    label = label[:height, :width].astype(np.uint8)
    label[rng.random(label.shape) < 0.1] = 255
    if name == "prevailing":
        label[:] = 3
        label[:8, :12] = 1
    if name == "single":
        label[:] = 2
    if name == "unlabelled":
        label[:] = 255
    return image, label


@contextlib.contextmanager
def drawn_from(rng: np.random.Generator) -> Iterator[None]:
    def choice(options: Any, p: Any) -> Any:
        assert len(options) == 2
        return options[0] if rng.random() < p[0] else options[1]

    answers = {
        "random_sample": rng.random,
        "rand": rng.random,
        "uniform": lambda low, high: float(rng.uniform(low, high)),
        "randint": lambda low, high=None: int(rng.integers(low, high)),
        "choice": choice,
    }
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(np.random, name, answer))
        yield


def mmsegmentation(sizes: dict[str, Any]) -> list[dict[str, Any]]:
    crop = tuple(sizes["crop_size"])
    steps: list[dict[str, Any]] = [
        {
            "type": "RandomResize",
            "scale": tuple(sizes["fit_size"][::-1]),
            "ratio_range": (0.5, 2.0),
            "keep_ratio": True,
        },
        {"type": "RandomCrop", "crop_size": crop, "cat_max_ratio": 0.75},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PhotoMetricDistortion"},
    ]
    if sizes.get("padding") == "black":
        steps.append({"type": "Pad", "size": crop})
    return steps


def sssegmentation(sizes: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (
            "Resize",
            {"output_size": sizes["fit_size"][::-1], "keep_ratio": True, "scale_range": (0.5, 2.0)},
        ),
        ("RandomCrop", {"crop_size": sizes["crop_size"], "one_category_max_ratio": 0.75}),
        ("RandomFlip", {"prob": 0.5}),
        ("PhotoMetricDistortion", {}),
        ("Normalize", {"mean": MEAN, "std": STD}),
        ("ToTensor", {}),
        ("Padding", {"output_size": sizes["crop_size"], "data_type": "tensor"}),
    ]


def sample_of_mmsegmentation(
    sizes: dict[str, Any], image: np.ndarray, label: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    results: dict[str, Any] = {
        "img": np.ascontiguousarray(image[..., ::-1]),  # read by OpenCV: blue, green, red
        "gt_seg_map": label.copy(),
        "seg_fields": ["gt_seg_map"],
        "img_shape": image.shape[:2],
    }
    for step in mmsegmentation(sizes):
        results = TRANSFORMS.build(step).transform(results)
    preprocessor = SegDataPreProcessor(
        mean=MEAN, std=STD, bgr_to_rgb=True, pad_val=0, seg_pad_val=255, size=sizes["crop_size"]
    )
    inputs = torch.from_numpy(np.ascontiguousarray(results["img"].transpose(2, 0, 1)))
    target = torch.from_numpy(results["gt_seg_map"][None].astype(np.int64))
    sample = SegDataSample(gt_sem_seg=PixelData(data=target))
    batch = preprocessor({"inputs": [inputs], "data_samples": [sample]}, training=True)
    return batch["inputs"][0], batch["data_samples"][0].gt_sem_seg.data[0]


def sample_of_sssegmentation(
    sizes: dict[str, Any], image: np.ndarray, label: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    target = label.astype(np.float32)
    target[target == 255] = -100
    sample = {"image": np.ascontiguousarray(image[..., ::-1]), "seg_target": target}
    for name, settings in sssegmentation(sizes):
        sample = BuildDataTransform({"type": name, **settings})(sample)
    label_out = sample["seg_target"].long()
    label_out[label_out == -100] = 255
    return sample["image"], label_out


def cases() -> list[dict[str, Any]]:
    recorded = []
    for name, zoo, sizes, drawn, count in CASES:
        image, label = picture(drawn)
        samples = []
        for seed in range(count):
            function = globals()[f"sample_of_{zoo}"]
            with drawn_from(np.random.default_rng(seed)):
                x, y = function(sizes, image, label)
            samples.append(
                {"seed": seed, "image": x.contiguous(), "label": y.to(torch.uint8).contiguous()}
            )
        recorded.append(
            {
                **{"name": name, "zoo": zoo, "picture": drawn, "samples": samples},
                "recipe": {key: list(v) if key != "padding" else v for key, v in sizes.items()},
            }
        )
    return recorded


def distributions() -> dict[str, Any]:
    """Per zoo, DRAWS times: height after resizing, crop corner, flip, mean color after distorting.

    Drawn from a 40x60 picture with fit_size (40, 80) and crop_size (16, 24).
    """
    sizes = {"fit_size": (40, 80), "crop_size": (16, 24)}
    rows, columns = np.mgrid[:40, :60]
    where = rows * 60 + columns  # every pixel is a class of its own
    color = picture("upright")[0][:12, :12]
    found: dict[str, Any] = {"picture": torch.from_numpy(color.copy())}
    for zoo, image_key, label_key in (
        ("mmsegmentation", "img", "gt_seg_map"),
        ("sssegmentation", "image", "seg_target"),
    ):
        np.random.seed(0)
        if zoo == "mmsegmentation":
            steps = [TRANSFORMS.build(step).transform for step in mmsegmentation(sizes)[:4]]
        else:
            steps = [
                BuildDataTransform({"type": name, **settings})
                for name, settings in sssegmentation(sizes)[:4]
            ]
        resize, crop, flip, photometric = steps
        table = []
        empty = np.zeros((40, 60, 3), np.uint8)
        labels = {label_key: where.astype(np.int32), "seg_fields": [label_key]}
        pair = np.arange(2, dtype=np.uint8)[None, :, None].repeat(3, 2)
        for _ in range(DRAWS):
            height = resize({image_key: empty})[image_key].shape[0]
            corner = int(crop({image_key: empty, **labels})[label_key][0, 0])
            mirrored = int(flip({image_key: pair})[image_key][0, 0, 0]) == 1
            distorted = photometric({image_key: np.ascontiguousarray(color[..., ::-1])})
            mean = distorted[image_key].mean((0, 1))[::-1]
            table.append([height, corner // 60, corner % 60, float(mirrored), *mean])
        found[zoo] = torch.tensor(np.array(table), dtype=torch.float32)
    return found


def main() -> None:
    register_all_modules()
    names = {case[3] for case in CASES}
    pictures = {name: [torch.from_numpy(array) for array in picture(name)] for name in names}
    torch.save({"pictures": pictures, "cases": cases(), "distributions": distributions()}, GOLDEN)


if __name__ == "__main__":
    main()
