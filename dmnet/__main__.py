"""Command line of the model package: prepare data, train, evaluate, predict, count, time.

python -m dmnet prepare  --dataset FILE --folder data/NAME [--sources DIR]
python -m dmnet train    --config runs/KEY/config.json --data data/NAME [--weights DIR]
python -m dmnet evaluate --run runs/KEY --config JSON --data data/NAME --output FILE
python -m dmnet predict  --run runs/KEY --config JSON --data data/NAME --output FILE
python -m dmnet profile  --config JSON --output FILE
python -m dmnet export   --run runs/KEY --zoo mmsegmentation|sssegmentation --output FILE.pth
python -m dmnet speed    --config JSON --output FILE
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from dmnet.config import (
    DatasetConfig,
    EvaluationConfig,
    JobConfig,
    ProfileConfig,
    SpeedConfig,
    content_hash,
    parse,
)
from dmnet.errors import ConfigError, DMNetError
from dmnet.files import read_json, write_json


def prepare(arguments: argparse.Namespace) -> None:
    from dmnet.data.prepare import prepare_dataset

    config = parse(DatasetConfig, read_argument(arguments.dataset), "--dataset")
    sources: Path = arguments.sources
    prepare_dataset(config, arguments.folder, sources, sources / config.name)


def train(arguments: argparse.Namespace) -> None:
    from dmnet.training.trainer import train as train_run

    job = parse(JobConfig, read_json(arguments.config), str(arguments.config))
    run_dir = arguments.config.parent
    if run_dir.name != job.run.key:
        raise ConfigError(
            f"{arguments.config}: its content has key {job.run.key}, not its folder's name; "
            "delete the file, it is written anew"
        )
    train_run(job, run_dir, arguments.data, arguments.weights)


def evaluate(arguments: argparse.Namespace) -> None:
    from dmnet.inference.evaluate import evaluate as evaluate_model
    from dmnet.inference.trained import open_trained

    evaluation = parse(EvaluationConfig, read_argument(arguments.config), "--config")
    run = open_trained(arguments.run, evaluation, arguments.data)
    matrix = evaluate_model(
        run.model, run.dataset, run.job.run.recipe, evaluation.inference, run.device
    )
    result: dict[str, Any] = {**run.origin, **matrix.summary()}
    write_json(arguments.output, result)
    logging.info("mIoU %.2f over %d images", 100 * result["miou"], len(run.dataset))


def predict(arguments: argparse.Namespace) -> None:
    from dmnet.inference.predict import predict as predict_split
    from dmnet.inference.trained import open_trained

    evaluation = parse(EvaluationConfig, read_argument(arguments.config), "--config")
    run = open_trained(arguments.run, evaluation, arguments.data)
    manifest = predict_split(run, arguments.output)
    logging.info("label maps of %d images", manifest["images"])


def profile(arguments: argparse.Namespace) -> None:
    from dmnet.profile import profile_branches

    config = parse(ProfileConfig, read_argument(arguments.config), "--config")
    counts = profile_branches(config)
    key = content_hash(config)[:16]
    content = {"profile": key, "config": config.model_dump(mode="json"), **counts}
    write_json(arguments.output, content)


def export(arguments: argparse.Namespace) -> None:
    from dmnet.importers.export import export_run

    tensors = export_run(arguments.run, arguments.zoo, arguments.output)
    logging.info("%d tensors in the layout of %s", tensors, arguments.zoo)


def speed(arguments: argparse.Namespace) -> None:
    from dmnet.speed import measure

    result = measure(parse(SpeedConfig, read_argument(arguments.config), "--config"))
    write_json(arguments.output, result)
    logging.info(
        "%.3g images/s, %.2f GiB in training (%s)",
        result["frames_per_second"],
        result["memory_bytes"] / 2**30,
        result["memory_kind"],
    )


def read_argument(value: str) -> Any:
    """JSON given inline (it starts with a brace) or the path of a JSON file."""
    if not value.lstrip().startswith("{"):
        return read_json(Path(value))
    try:
        return json.loads(value)
    except ValueError as error:
        raise ConfigError(f"the argument {value[:40]!r}...: not valid JSON ({error})") from error


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m dmnet", description=__doc__.splitlines()[0])
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("prepare", help="bring a dataset into its verified form")
    command.add_argument("--dataset", required=True, help="DatasetConfig: JSON or its file")
    command.add_argument("--folder", type=Path, required=True, help="data/<name>, written")
    command.add_argument(
        "--sources",
        type=Path,
        default=Path("data/sources"),
        help="what the user obtained: archives, or a folder with the dataset's name",
    )
    command.set_defaults(action=prepare)

    command = commands.add_parser("train", help="train a run, or go on with it")
    command.add_argument("--config", type=Path, required=True, help="runs/<key>/config.json")
    command.add_argument("--data", type=Path, required=True, help="data/<name>, prepared")
    command.add_argument("--weights", type=Path, default=Path("weights"))
    command.set_defaults(action=train)

    for name, action, about, output in (
        ("evaluate", evaluate, "measure a trained run", "metrics.json, written"),
        (
            "predict",
            predict,
            "keep a trained run's label maps as PNG; needs no labels",
            "predictions/<key>/<evaluation>.json, written; the PNGs go into the folder beside it",
        ),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--run", type=Path, required=True, help="runs/<key>")
        command.add_argument("--config", required=True, help="EvaluationConfig: JSON or its file")
        command.add_argument("--data", type=Path, required=True, help="data/<name>, prepared")
        command.add_argument("--output", type=Path, required=True, help=output)
        command.set_defaults(action=action)

    command = commands.add_parser("profile", help="count a multi-scale module's cost")
    command.add_argument("--config", required=True, help="ProfileConfig: JSON or its file")
    command.add_argument("--output", type=Path, required=True, help="JSON, written")
    command.set_defaults(action=profile)

    command = commands.add_parser("export", help="a trained run's weights as a zoo's checkpoint")
    command.add_argument("--run", type=Path, required=True, help="runs/<key>")
    command.add_argument("--zoo", required=True, help="mmsegmentation or sssegmentation")
    command.add_argument("--output", type=Path, required=True, help="FILE.pth, written")
    command.set_defaults(action=export)

    command = commands.add_parser("speed", help="measure inference speed and training memory")
    command.add_argument("--config", required=True, help="SpeedConfig: JSON or its file")
    command.add_argument("--output", type=Path, required=True, help="JSON, written")
    command.set_defaults(action=speed)

    for command in commands.choices.values():
        command.add_argument("--label", default="", help="shown in front of every log line")
    return root


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    prefix = f"[{arguments.label}] " if arguments.label else ""
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {prefix}%(message)s", datefmt="%H:%M:%S"
    )
    try:
        arguments.action(arguments)
    except DMNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
