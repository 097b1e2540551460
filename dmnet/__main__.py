"""Command line of the model package: prepare data, train or import, evaluate, predict, measure.

python -m dmnet prepare  --dataset FILE --folder data/NAME [--sources DIR]
python -m dmnet train    --config runs/KEY/config.json --data data/NAME [--weights DIR]
python -m dmnet fetch    --config FILE | --checkpoint JSON [--weights DIR] [--mirror DIR]
python -m dmnet import   --config JSON [--weights DIR] --output released/KEY
python -m dmnet evaluate --run runs/KEY|released/KEY --config JSON --data data/NAME --output FILE
python -m dmnet predict  --run runs/KEY --config JSON --data data/NAME --output FILE
python -m dmnet profile  --config JSON --output FILE
python -m dmnet export   --run runs/KEY --zoo mmsegmentation|sssegmentation --output FILE.pth
python -m dmnet speed    --config JSON --output FILE
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dmnet.clone import require_own_clone
from dmnet.config import (
    CheckpointConfig,
    DatasetConfig,
    EvaluationConfig,
    JobConfig,
    ProfileConfig,
    PublishedFile,
    ReleaseJob,
    SpeedConfig,
    WeightsConfig,
    parse,
    parse_job,
)
from dmnet.errors import (
    LOST_CONTACT,
    TO_BE_CONTINUED,
    ConfigError,
    DMNetError,
    LostContactError,
    OutOfTimeError,
    ProcessesError,
)
from dmnet.files import parse_json, read_json, user_path, write_json
from dmnet.private.collector import uncollected
from dmnet.private.memory import keep_large_blocks
from dmnet.provenance import code_at_start
from dmnet.text import all_visible, error_line
from dmnet.torchrun import forget_other_launchers, rank_of_this_process, under_torchrun


def prepare(arguments: argparse.Namespace) -> None:
    from dmnet.data.prepare import prepare_dataset

    config = parse(DatasetConfig, read_argument(arguments.dataset), "--dataset")
    sources: Path = arguments.sources
    prepare_dataset(config, arguments.folder, sources, sources / config.name)


def train(arguments: argparse.Namespace) -> None:
    from dmnet.processes import joined_processes
    from dmnet.training.launch import launch
    from dmnet.training.run import train as train_run
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
        train_run(job, run_dir, arguments.data, arguments.weights, joined, end, arguments.repeat)


def fetch(arguments: argparse.Namespace) -> None:
    from dmnet.importers.fetching import fetch as fetch_published

    found = fetch_published(wanted_files(arguments), arguments.weights, arguments.mirror)
    print(found.path)


def wanted_files(arguments: argparse.Namespace) -> Sequence[PublishedFile]:
    """The published files that `fetch` is asked for; any one of them will do."""
    if arguments.config is None:
        content, where = read_argument(arguments.checkpoint), "--checkpoint"
        if isinstance(content, dict) and "files" not in content:
            return [parse(WeightsConfig, content, where).published]
        return parse(CheckpointConfig, content, where).files
    job = parse_job(read_argument(arguments.config), "--config")
    if isinstance(job, ReleaseJob):
        return job.run.checkpoint.files
    weights = job.run.model.backbone.weights
    if weights is None or job.run.parent is not None:
        raise ConfigError("--config: this run starts from no published weights; nothing to fetch")
    return [weights.published]


def import_(arguments: argparse.Namespace) -> None:
    from dmnet.importers.released import import_released

    job = parse(ReleaseJob, read_argument(arguments.config), "--config")
    if arguments.output.name != job.run.key:
        raise ConfigError(
            f"--output {arguments.output}: the content of --config has key {job.run.key}, "
            f"expected a folder of that name, such as released/{job.run.key}"
        )
    if arguments.fetch:
        from dmnet.importers.fetching import fetch as fetch_published

        fetch_published(job.run.checkpoint.files, arguments.weights, arguments.mirror)
    manifest = import_released(job, arguments.weights, arguments.output, arguments.repeat)
    origin = "SHA-256 as published" if manifest["checkpoint"]["verified"] else "origin unproven"
    logging.info("imported %s (%s)", manifest["checkpoint"]["file"], origin)


def evaluate(arguments: argparse.Namespace) -> None:
    from dmnet.devices import out_of_memory_as
    from dmnet.inference.evaluate import evaluate as evaluate_model
    from dmnet.inference.trained import open_trained

    evaluation = parse(EvaluationConfig, read_argument(arguments.config), "--config")
    with out_of_memory_as(lambda: too_little_memory(arguments)):
        run = open_trained(arguments.run, evaluation, arguments.data)
        matrix = evaluate_model(
            run.model,
            run.dataset,
            run.job.run.recipe,
            evaluation.inference,
            run.device,
            form=run.form,
        )
    result: dict[str, Any] = {**run.origin, **matrix.summary()}
    write_json(arguments.output, result)
    logging.info(
        "mIoU %.2f over %d images (%s form)",
        100 * result["miou"],
        len(run.dataset),
        run.form.name,
    )


def predict(arguments: argparse.Namespace) -> None:
    from dmnet.devices import out_of_memory_as
    from dmnet.inference.predict import predict as predict_split
    from dmnet.inference.trained import open_trained

    evaluation = parse(EvaluationConfig, read_argument(arguments.config), "--config")
    with out_of_memory_as(lambda: too_little_memory(arguments)):
        run = open_trained(arguments.run, evaluation, arguments.data)
        manifest = predict_split(run, arguments.output, arguments.encoding)
    name = manifest["encoding"]["name"]
    logging.info("label maps of %d images, in %s", manifest["images"], name)


def too_little_memory(arguments: argparse.Namespace) -> str:
    return (
        f"{arguments.run}: out of memory for an image of {arguments.data} by this protocol; see "
        "whether another process holds some (nvidia-smi), take a GPU with more, or set "
        "`execution: {device: cpu}` in the preset"
    )


def profile(arguments: argparse.Namespace) -> None:
    from dmnet.profile import count

    config = parse(ProfileConfig, read_argument(arguments.config), "--config")
    write_json(arguments.output, count(config))


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
        return parse_json(value)
    except ValueError as error:
        raise ConfigError(f"the argument {value[:40]!r}...: not valid JSON ({error})") from error


# Not taken from the docstring, which PYTHONOPTIMIZE=2 removes.
ABOUT = (
    "Command line of the model package: prepare data, train or import, evaluate, predict, measure."
)


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m dmnet", description=ABOUT)
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("prepare", help="bring a dataset into its verified form")
    command.add_argument("--dataset", required=True, help="DatasetConfig: JSON or its file")
    command.add_argument("--folder", type=Path, required=True, help="data/<name>, written")
    command.add_argument(
        "--sources",
        type=user_path,
        default=Path("data/sources"),
        help="what the user obtained: archives, or a folder with the dataset's name",
    )
    command.set_defaults(action=prepare)

    command = commands.add_parser("train", help="train a run, or go on with it")
    command.add_argument("--config", type=Path, required=True, help="runs/<key>/config.json")
    command.add_argument("--data", type=Path, required=True, help="data/<name>, prepared")
    command.add_argument("--weights", type=Path, default=Path("weights"))
    command.add_argument(
        "--until",
        type=float,
        help="save and stop with status 75 before this time, in seconds since 1970",
    )
    command.set_defaults(action=train)

    command = commands.add_parser("fetch", help="download published weights and verify them")
    wanted = command.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--config", help="what a job needs: JSON, or runs/<key>/config.json")
    wanted.add_argument("--checkpoint", help="CheckpointConfig or WeightsConfig: JSON or its file")
    command.add_argument("--weights", type=Path, default=Path("weights"), help="written")
    command.add_argument("--mirror", help="a folder (or file:// address) to copy from instead")
    command.set_defaults(action=fetch)

    command = commands.add_parser("import", help="bring a released checkpoint under our names")
    command.add_argument("--config", required=True, help="ReleaseJob: JSON or its file")
    command.add_argument("--weights", type=Path, default=Path("weights"))
    command.add_argument("--output", type=Path, required=True, help="released/<key>, written")
    command.add_argument("--fetch", action="store_true", help="download what is missing first")
    command.add_argument("--mirror", help="a folder (or file:// address) to copy from instead")
    command.set_defaults(action=import_)

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
        command.add_argument("--run", type=Path, required=True, help="runs/<key> or released/<key>")
        command.add_argument("--config", required=True, help="EvaluationConfig: JSON or its file")
        command.add_argument("--data", type=Path, required=True, help="data/<name>, prepared")
        command.add_argument("--output", type=Path, required=True, help=output)
        command.set_defaults(action=action)

    commands.choices["predict"].add_argument(
        "--encoding",
        choices=("official", "train-ids"),
        default="official",
        help="the values in the PNGs: the benchmark's own label values, which its tools expect "
        "(default), or class indices as in training, with VOC's palette",
    )

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

    for name in ("train", "import"):
        about = "the command that makes it again, kept in train.json"
        commands.choices[name].add_argument("--repeat", help=about)
    for command in commands.choices.values():
        command.add_argument("--label", default="", help="shown in front of every log line")
    return root


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    arguments.command_line = sys.argv[1:] if argv is None else argv
    with all_visible():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    keep_large_blocks()
    if arguments.action not in (prepare, fetch):
        # What is imported from here on is what it records.
        code_at_start(package=arguments.action in (evaluate, predict, profile))
    if arguments.action is not prepare:  # which needs no PyTorch
        with uncollected():
            import torch  # noqa: F401 - it alone: what else a command imports is small
    prefix = f"[{arguments.label}] " if arguments.label else ""
    if (rank := rank_of_this_process()) is not None:
        prefix += f"[process {rank}] "
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {prefix}%(message)s", datefmt="%H:%M:%S"
    )
    try:
        require_own_clone()
        arguments.action(arguments)
    except OutOfTimeError as error:
        if first_process():
            print(error_line(error, "stopped: "), file=sys.stderr)
        return TO_BE_CONTINUED
    except LostContactError as error:
        # No `error:`, which is for the process that ended first.
        print(error_line(error, ""), file=sys.stderr)
        return LOST_CONTACT
    except ProcessesError as error:
        if error.message:
            print(error_line(error.message), file=sys.stderr)
        return error.status
    except DMNetError as error:
        if first_process() or not error.common:
            print(error_line(error), file=sys.stderr)
        return 1
    return 0


def first_process() -> bool:
    """Of several that would print the same line."""
    return rank_of_this_process() in (None, 0)


if __name__ == "__main__":
    sys.exit(main())
