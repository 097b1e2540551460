"""What Cityscapes' own evaluation tool says of predictions written as label ids and as train ids.

Run by hand, with the environment that install.sh makes (README.md) or any with cityscapesscripts:

    DIR/bin/python tests/reference/record_cityscapes_evaluation.py

Two drawn ground truths with all 34 label ids, and predictions that are right on some of their
pixels. The tool reads them from files named as Cityscapes' are, finding each prediction by its
photograph's name.

Writes tests/golden/cityscapes_evaluation.json: `ground_truth` (label ids), `train_ids` (what was
predicted), `label_ids` (the same by the tool's own table), and for both ways of writing them the
score of each class and their mean; a class that does not occur has none.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as tool  # noqa: N813
import numpy as np
from cityscapesscripts.helpers.labels import trainId2label
from PIL import Image

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "cityscapes_evaluation.json"
NAME = "bonn_000000_{:06d}"
CLASSES = 19
ABSENT = 16  # train id of a class that neither occurs nor is predicted
TABLE = np.array([trainId2label[index].id for index in range(CLASSES)], np.uint8)


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ground truth (label ids) and prediction (train ids), (12, 20) each."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 34, (12, 20))
    truth[truth == TABLE[ABSENT]] = 7
    right = {int(label): index for index, label in enumerate(TABLE)}
    predicted = rng.integers(0, ABSENT, truth.shape)
    for place in np.ndindex(truth.shape):
        if int(truth[place]) in right and rng.random() < 0.6:
            predicted[place] = right[int(truth[place])]
    return truth.astype(np.uint8), predicted.astype(np.uint8)


def scores(folder: Path, truths: list[np.ndarray], predicted: list[np.ndarray]) -> dict[str, Any]:
    tool.args.evalInstLevelScore = False  # it is of instances, which are not predicted
    tool.args.JSONOutput = False
    tool.args.quiet = True
    tool.args.predictionPath, tool.args.predictionWalk = str(folder / "predictions"), None
    for number, (truth, labels) in enumerate(zip(truths, predicted, strict=True)):
        name = NAME.format(number)
        for kind, suffix, values in (
            ("truth", "gtFine_labelIds", truth),
            ("predictions", "leftImg8bit", labels),
        ):
            path = folder / kind / f"{name}_{suffix}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    files = sorted(str(path) for path in (folder / "truth").iterdir())
    found = tool.evaluateImgLists(
        [tool.getPrediction(tool.args, f) for f in files], files, tool.args
    )
    by_class = [found["classScores"][trainId2label[index].name] for index in range(CLASSES)]
    return {
        "iou": [None if math.isnan(score) else float(score) for score in by_class],
        "mean": float(found["averageScoreClasses"]),
    }


def main() -> None:
    truths, predicted = map(list, zip(*(draw(seed) for seed in (0, 1)), strict=True))
    label_ids = [TABLE[labels] for labels in predicted]
    with tempfile.TemporaryDirectory() as folder:
        as_label_ids = scores(Path(folder) / "a", truths, label_ids)
        as_train_ids = scores(Path(folder) / "b", truths, predicted)
    content = {
        "source": f"cityscapesscripts {importlib.metadata.version('cityscapesscripts')}",
        "ground_truth": [truth.tolist() for truth in truths],
        "train_ids": [labels.tolist() for labels in predicted],
        "label_ids": [labels.tolist() for labels in label_ids],
        "scores_of_label_ids": as_label_ids,
        "scores_of_train_ids": as_train_ids,
    }
    GOLDEN.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
