"""What publishers ship, small: the archives of every layout, and a CamVid folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from dmnet.config import DatasetConfig
from dmnet.data.prepare import LAYOUTS, STANDINS

PARAMS = Path(__file__).resolve().parents[2] / "params/datasets"
DRAWN = {  # layout -> the stand-in whose archives are drawn, and how many images
    "voc2012aug": ("voc2012-procedural", {"train": 1, "sbd": 1, "val": 1}),
    "voc2012_test": ("voc2012-test-procedural", {"test": 1}),
    "pascal_context": ("pascal-context-59-procedural", {"train": 1, "val": 1}),
    "ade20k": ("ade20k-procedural", {"training": 1, "validation": 1}),
    "cityscapes": ("cityscapes-procedural", {"train": 1, "val": 1}),
}


def _drawn(layout: str, generate: bool) -> DatasetConfig:
    name, images = DRAWN[layout]
    values: dict[str, Any] = yaml.safe_load((PARAMS / f"{name}.yaml").read_text())
    drawn = values.pop("generate") | {"images": images, "height": 32, "width": 40}
    del values["counts"]
    return DatasetConfig.model_validate(
        {"name": layout.replace("_", "-"), **values, **({"generate": drawn} if generate else {})}
    )


CAMVID = DatasetConfig.model_validate(
    {
        **{"name": "tiny-camvid", "title": "tiny", "layout": "camvid"},
        **{"classes": [f"class {i}" for i in range(11)], "label_map": {11: 255}},
        "splits": {"train": "train", "val": "val"},
    }
)
SOURCES = {layout: _drawn(layout, False) for layout in DRAWN} | {"camvid": CAMVID}
assert SOURCES.keys() == LAYOUTS.keys()


def make_sources(folder: Path) -> None:
    for layout in DRAWN:
        (folder / layout).mkdir(parents=True)
        STANDINS[layout](_drawn(layout, True), folder / layout)
    source = folder / "camvid" / CAMVID.name
    for split in ("train", "val"):
        numbers = np.random.default_rng(0).integers(0, 12, (16, 20), dtype=np.uint8)
        for kind, array in (("", numbers[..., None] * np.uint8([20, 10, 5])), ("annot", numbers)):
            (source / f"{split}{kind}").mkdir(parents=True)
            Image.fromarray(array).save(source / f"{split}{kind}" / "a.png")
        (source / f"{split}.txt").write_text(f"{split}/a.png {split}annot/a.png\n")
