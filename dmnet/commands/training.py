"""`prepare` and `train`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from dmnet.commands.command import Command, add_repeat, read_argument
from dmnet.config import DatasetConfig, JobConfig, parse
from dmnet.errors import ConfigError
from dmnet.files import read_json, user_path
from dmnet.torchrun import forget_other_launchers, under_torchrun


def _prepare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, help="DatasetConfig: JSON or its file")
    parser.add_argument("--folder", type=Path, required=True, help="data/<name>, to be made")
    parser.add_argument(
        "--sources",
        type=user_path,
        default=Path("data/sources"),
        help="what the user obtained: archives, or a folder with the dataset's name",
    )


def _prepare(arguments: argparse.Namespace) -> None:
    from dmnet.data.prepare import prepare_dataset

    config = parse(DatasetConfig, read_argument(arguments.dataset), "--dataset")
    sources: Path = arguments.sources
    prepare_dataset(config, arguments.folder, sources, sources / config.name)


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="runs/<key>/config.json")
    parser.add_argument("--data", type=Path, required=True, help="data/<name>, prepared")
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument(
        "--until",
        type=float,
        help="save and stop with status 75 before this time, in seconds since 1970",
    )
    add_repeat(parser)


def _train(arguments: argparse.Namespace) -> None:
    from dmnet.processes import joined_processes
    from dmnet.training.launch import launch
    from dmnet.training.run import train
    from dmnet.training.wall_clock import allocation_end

    job = parse(JobConfig, read_json(arguments.config), str(arguments.config))
    run_dir = arguments.config.parent
    if run_dir.name != job.run.key:
        raise ConfigError(
            f"{arguments.config}: its content has key {job.run.key}, not its folder's name; "
            "delete the file, it is written anew"
        )
    processes, nodes = job.execution.processes, job.execution.nodes
    forget_other_launchers()
    if processes > 1 and not under_torchrun():
        launch(arguments.command_line, processes, nodes, run_dir)
        return
    with joined_processes(job.execution.device) as joined:
        if not joined.first:
            logging.getLogger().setLevel(logging.WARNING)
        end = allocation_end(arguments.until) if joined.first else None
        train(job, run_dir, arguments.data, arguments.weights, joined, end, arguments.repeat)


PREPARE = Command(
    "prepare",
    "bring a dataset into its verified form",
    _prepare_options,
    _prepare,
    records=None,
    needs_torch=False,
)
TRAIN = Command("train", "train a run, or go on with it", _train_options, _train)
