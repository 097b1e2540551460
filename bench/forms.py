"""`python -m bench.forms --run runs/KEY --data data/NAME`: one trained run's scores in every form.

    plain       the modules as they were trained, one view at a time
    optimised   what evaluations use from a preset's `optimised_from` on

Each evaluates the whole split. A difference of mIoU is against the plain form; `changed` is the
part of all pixels whose label differs from it. Seconds hold building the form and reading the
images. "Pays from" is the number of views (images x scales x mirror images) from which on a form
has been faster than the plain one, what it took to build it and to get going included.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
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
from dmnet.inference.form import OPTIMISED, PLAIN, Form
from dmnet.inference.metrics import ConfusionMatrix
from dmnet.inference.trained import TrainedRun, open_trained
from dmnet.optimised import optimised
from dmnet.private.memory import keep_large_blocks
from dmnet.segmentor import Segmentor

PROTOCOLS = {
    "single-scale": InferenceConfig(),
    "ms-flip": InferenceConfig(scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75), flip=True),
}


class FormResult(NamedTuple):
    labels: list[Tensor]  # (h, w) int64 per image
    miou: float  # per cent
    ends: list[float]  # seconds from the start to the end of each image


def forms(model: Segmentor) -> Iterator[tuple[str, Callable[[], Segmentor], Form]]:
    """Name, how the model is built, what else belongs to it."""
    yield "plain", lambda: model, PLAIN
    yield "optimised", lambda: optimised(model), OPTIMISED


@torch.no_grad()
def measure(
    run: TrainedRun, build: Callable[[], Segmentor], protocol: InferenceConfig, form: Form
) -> FormResult:
    dataset, recipe = run.dataset, run.job.run.recipe
    matrix, labels = ConfusionMatrix.empty(dataset.data.classes), []
    started, ends = time.perf_counter(), []
    model = build()
    for image, label in read_ahead(dataset.read, range(len(dataset))):
        scores = predict_scores(model, image, recipe, protocol, form, run.device)
        predicted = label_map(scores)
        matrix.add(predicted, label, dataset.data.ignore_index)
        labels.append(predicted.cpu())
        ends.append(time.perf_counter() - started)
    return FormResult(labels, 100 * matrix.miou(), ends)


def pays_from(ends: list[float], plain: list[float]) -> int | None:
    """The number of images from which on `ends` are the earlier ones; None: not even the last."""
    images = len(ends)
    while images and ends[images - 1] < plain[images - 1]:
        images -= 1
    return images + 1 if images < len(ends) else None


def rows(run: TrainedRun, name: str, protocol: InferenceConfig) -> Iterator[dict[str, Any]]:
    plain: FormResult | None = None
    for title, build, form in forms(run.model):
        result = measure(run, build, protocol, form)
        plain = plain or result
        pairs = list(zip(result.labels, plain.labels, strict=True))
        changed = sum(int((ours != theirs).sum()) for ours, theirs in pairs)
        images = pays_from(result.ends, plain.ends)
        yield {
            **{"protocol": name, "form": title, "miou": result.miou},
            "difference": result.miou - plain.miou,
            "changed": changed / sum(labels.numel() for labels in result.labels),
            "seconds": result.ends[-1],
            "pays_from": images and images * protocol.views,
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.forms", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="runs/<key> or released/<key>")
    parser.add_argument("--data", type=Path, required=True, help="data/<name>, prepared")
    parser.add_argument("--protocol", choices=PROTOCOLS, action="append", help="only this")
    parser.add_argument("--output", type=Path, help="JSON file to write")
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
    chosen = options.protocol or list(PROTOCOLS)
    measured = [row for name in chosen for row in rows(run, name, PROTOCOLS[name])]
    table = [
        [
            row["protocol"],
            row["form"],
            f"{row['miou']:.4f}",
            f"{row['difference']:+.4f}",
            f"{100 * row['changed']:.4f} %",
            f"{row['seconds']:.1f}",
            "-" if row["pays_from"] is None else f"{row['pays_from']} views",
        ]
        for row in measured
    ]
    headers = ["Protocol", "Form", "mIoU", "Difference", "Labels changed", "Seconds", "Pays from"]
    print(f"{run.job.run.key}, {len(run.dataset)} images, {torch.get_num_threads()} threads\n")
    print(tabulate(table, headers, tablefmt="pipe", disable_numparse=True))
    if options.output is not None:
        write_json(options.output, {**run.origin, "forms": measured})


if __name__ == "__main__":
    keep_large_blocks()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        main()
    except DMNetError as error:
        sys.exit(f"error: {error}")
