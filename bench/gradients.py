"""`python -m bench.gradients`: how exact a training step's gradients are, plain and accelerated.

Both are computed in float32 and compared with those of the plain modules in float64: the same
model, at its published width and with random weights, and the same images as in `make bench`,
nothing dropped out. An error is the norm of the difference of all gradients over their norm. Such
untrained networks, normalised over two images, multiply rounding errors from layer to layer, so the
plain modules' own error is what the other is to be held against.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable
from typing import NamedTuple

import torch
from tabulate import tabulate
from torch import Tensor

from bench import worker
from bench.cases import CASES, MODELS, Case
from dmnet.config import ModelConfig
from dmnet.losses import segmentation_losses
from dmnet.memory import keep_large_blocks
from dmnet.segmentor import Segmentor
from dmnet.training.convolution import use_fast_convolutions

IGNORED = 255


class Step(NamedTuple):
    loss: float
    gradients: list[Tensor]  # of every parameter, float64


def step(model: Segmentor, images: Tensor, labels: Tensor) -> Step:
    """Forward and backward pass of `model`, which keeps no gradients."""
    with worker.without_dropout(model):
        losses = segmentation_losses(model, model(images), labels, IGNORED, "all", None, None)
    gradients = torch.autograd.grad(losses.total, list(model.parameters()))
    return Step(float(losses.total.detach()), [gradient.double() for gradient in gradients])


def error(gradients: Iterable[Tensor], exact: Iterable[Tensor]) -> float:
    """Of all of them together, as a part of their size."""
    pairs = list(zip(gradients, exact, strict=True))
    off = sum(float((ours - theirs).square().sum()) for ours, theirs in pairs)
    return (off / sum(float(theirs.square().sum()) for _, theirs in pairs)) ** 0.5


def compare(model: Segmentor, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Errors of the loss and the gradients, plain and fast; `layers`: how many became fast."""
    exact = step(copy.deepcopy(model).double(), images.double(), labels)
    plain, fast = step(model, images, labels), copy.deepcopy(model)
    layers = use_fast_convolutions(fast)
    ours = step(fast, images, labels)
    return {
        "layers": layers,
        "loss_plain": abs(plain.loss / exact.loss - 1),
        "loss_fast": abs(ours.loss / exact.loss - 1),
        "plain": error(plain.gradients, exact.gradients),
        "fast": error(ours.gradients, exact.gradients),
        "apart": error(ours.gradients, plain.gradients),
    }


def of_case(case: Case) -> dict[str, float]:
    published, device = MODELS[case.model], torch.device("cpu")
    model = Segmentor(ModelConfig.model_validate(published.ours), published.classes)
    worker.spread_normalisation(model)
    labels = worker.labels(case, published.classes, device).long()
    return compare(model, worker.images(case, device), labels)


def main() -> None:
    argparse.ArgumentParser(prog="python -m bench.gradients", description=__doc__).parse_args()
    torch.manual_seed(worker.WEIGHTS_SEED)
    rows = []
    for case in (case for case in CASES if case.kind == "train_step"):
        found = of_case(case)
        rows.append(
            [
                case.model_title,
                case.size,
                found["layers"],
                *(f"{found[key]:.1e}" for key in ("loss_plain", "loss_fast")),
                *(f"{found[key]:.2e}" for key in ("plain", "fast", "apart")),
            ]
        )
    headers = ["Model", "Images", "Fast layers", "Loss, plain", "Loss, fast"]
    headers += ["Gradients, plain", "Gradients, fast", "One from the other"]
    print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    keep_large_blocks()
    main()
