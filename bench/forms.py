"""`python -m bench.forms --run runs/KEY --data data/NAME`: one trained run's scores in every form.

    plain       the modules as they were trained, one view at a time
    optimised   what evaluations use from a preset's `optimised_from` on
    bf16        the same, computed in bfloat16; no evaluation uses it

Each evaluates the whole split. A difference of mIoU is against the plain form; `changed` is the
part of all pixels whose label differs from it. Seconds hold reading the images, not building the
form.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tabulate import tabulate
from torch import Tensor

from dmnet.config import EvaluationConfig, InferenceConfig
from dmnet.errors import DMNetError
from dmnet.files import read_json, write_json
from dmnet.inference.ahead import read_ahead
from dmnet.inference.augmented import label_map, predict_scores
from dmnet.inference.form import OPTIMISED
from dmnet.inference.metrics import ConfusionMatrix
from dmnet.inference.trained import TrainedRun, open_trained
from dmnet.memory import keep_large_blocks
from dmnet.optimised import Options, optimised
from dmnet.segmentor import Segmentor

PROTOCOLS = {
    "single-scale": InferenceConfig(),
    "ms-flip": InferenceConfig(scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75), flip=True),
}


class Measured(NamedTuple):
    labels: list[Tensor]  # (h, w) int64 per image
    miou: float  # per cent
    seconds: float


def forms(model: Segmentor) -> Iterator[tuple[str, Segmentor, int]]:
    """Name, model and the pixels of one forward pass."""
    yield "plain", model, 0
    yield "optimised", optimised(model), OPTIMISED.pixels
    yield "bf16", optimised(model, Options(precision="bf16")), OPTIMISED.pixels


@torch.no_grad()
def measure(run: TrainedRun, model: Segmentor, protocol: InferenceConfig, pixels: int) -> Measured:
    dataset, recipe = run.dataset, run.job.run.recipe
    matrix, labels = ConfusionMatrix.empty(dataset.data.classes), []
    started = time.perf_counter()
    for image, label in read_ahead(dataset.read, range(len(dataset))):
        predicted = label_map(predict_scores(model, image.to(run.device), recipe, protocol, pixels))
        matrix.add(predicted, label, dataset.data.ignore_index)
        labels.append(predicted.cpu())
    return Measured(labels, 100 * matrix.miou(), time.perf_counter() - started)


def rows(run: TrainedRun, name: str, protocol: InferenceConfig) -> Iterator[dict[str, Any]]:
    plain: Measured | None = None
    for form, model, pixels in forms(run.model):
        found = measure(run, model, protocol, pixels)
        plain = plain or found
        pairs = list(zip(found.labels, plain.labels, strict=True))
        changed = sum(int((ours != theirs).sum()) for ours, theirs in pairs)
        yield {
            **{"protocol": name, "form": form, "miou": found.miou},
            "difference": found.miou - plain.miou,
            "changed": changed / sum(labels.numel() for labels in found.labels),
            "seconds": found.seconds,
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.forms", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="runs/<key> or released/<key>")
    parser.add_argument("--data", type=Path, required=True, help="data/<name>, prepared")
    parser.add_argument("--output", type=Path, help="JSON, written")
    options = parser.parse_args()
    config = read_json(options.run / "config.json")
    dataset, recipe = config["dataset"], config["run"]["recipe"]
    evaluation = EvaluationConfig.model_validate(
        {
            "inference": {},
            "split": dataset["splits"]["val"],
            "data": config["run"]["data"],
            "load_scale": recipe["load_scale"],
        }
    )
    run = open_trained(options.run, evaluation, options.data)
    found = [row for name, protocol in PROTOCOLS.items() for row in rows(run, name, protocol)]
    table = [
        [
            row["protocol"],
            row["form"],
            f"{row['miou']:.4f}",
            f"{row['difference']:+.4f}",
            f"{100 * row['changed']:.4f} %",
            f"{row['seconds']:.1f}",
        ]
        for row in found
    ]
    headers = ["Protocol", "Form", "mIoU", "Difference", "Labels changed", "Seconds"]
    print(f"{run.job.run.key}, {len(run.dataset)} images, {torch.get_num_threads()} threads\n")
    print(tabulate(table, headers, tablefmt="pipe", disable_numparse=True))
    if options.output is not None:
        write_json(options.output, {**run.origin, "forms": found})


if __name__ == "__main__":
    keep_large_blocks()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        main()
    except DMNetError as error:
        sys.exit(f"error: {error}")
