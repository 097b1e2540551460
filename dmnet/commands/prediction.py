"""`evaluate` and `predict`: a trained run, applied to a split."""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path

from dmnet.commands.command import Command, read_argument
from dmnet.config import EvaluationConfig, parse
from dmnet.files import write_json


def _add_run(parser: argparse.ArgumentParser, output: str) -> None:
    parser.add_argument("--run", type=Path, required=True, help="runs/<key> or released/<key>")
    parser.add_argument("--config", required=True, help="EvaluationConfig: JSON or its file")
    parser.add_argument("--data", type=Path, required=True, help="data/<name>, prepared")
    parser.add_argument("--output", type=Path, required=True, help=output)


def _evaluate(arguments: argparse.Namespace) -> None:
    from dmnet.devices import out_of_memory_as
    from dmnet.inference.evaluate import evaluate
    from dmnet.inference.trained import open_trained

    evaluation = parse(EvaluationConfig, read_argument(arguments.config), "--config")
    with out_of_memory_as(lambda: _too_little_memory(arguments)):
        run = open_trained(arguments.run, evaluation, arguments.data)
        recipe, protocol = run.job.run.recipe, evaluation.inference
        matrix = evaluate(run.model, run.dataset, recipe, protocol, run.device, form=run.form)
    result = {**run.origin, **matrix.summary()}
    write_json(arguments.output, result)
    logging.info(
        "mIoU %.2f over %d images (%s form)",
        100 * result["miou"],
        len(run.dataset),
        run.form.name,
    )


def _predict_options(parser: argparse.ArgumentParser) -> None:
    folder = "predictions/<key>/<evaluation>.json to write"
    _add_run(parser, f"{folder}; the PNGs go into the folder beside it")
    parser.add_argument(
        "--encoding",
        choices=("official", "train-ids"),
        default="official",
        help="the values in the PNGs: the benchmark's own label values, which its tools expect "
        "(default), or class indices as in training, with VOC's palette",
    )


def _predict(arguments: argparse.Namespace) -> None:
    from dmnet.devices import out_of_memory_as
    from dmnet.inference.predict import predict
    from dmnet.inference.trained import open_trained

    evaluation = parse(EvaluationConfig, read_argument(arguments.config), "--config")
    with out_of_memory_as(lambda: _too_little_memory(arguments)):
        run = open_trained(arguments.run, evaluation, arguments.data)
        manifest = predict(run, arguments.output, arguments.encoding)
    name = manifest["encoding"]["name"]
    logging.info("label maps of %d images, in %s", manifest["images"], name)


def _too_little_memory(arguments: argparse.Namespace) -> str:
    return (
        f"{arguments.run}: out of memory for an image of {arguments.data} by this protocol; see "
        "whether another process holds some (nvidia-smi), take a GPU with more, or set "
        "`execution: {device: cpu}` in the preset"
    )


EVALUATE = Command(
    "evaluate",
    "measure a trained run",
    partial(_add_run, output="metrics.json, written"),
    _evaluate,
    records="package",
)
PREDICT = Command(
    "predict",
    "keep a trained run's label maps as PNG; needs no labels",
    _predict_options,
    _predict,
    records="package",
)
