"""`fetch`, `import` and `export`: weights that others published, and ours for them."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from dmnet.commands.command import Command, add_repeat, read_argument
from dmnet.config import (
    CheckpointConfig,
    PublishedFile,
    ReleaseJob,
    WeightsConfig,
    parse,
    parse_job,
)
from dmnet.errors import ConfigError


def _add_mirror(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mirror", help="a folder (or file:// address) to copy from instead")


def _fetch_options(parser: argparse.ArgumentParser) -> None:
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--config", help="what a job needs: JSON, or runs/<key>/config.json")
    wanted.add_argument("--checkpoint", help="CheckpointConfig or WeightsConfig: JSON or its file")
    parser.add_argument("--weights", type=Path, default=Path("weights"), help="The folder to fill.")
    _add_mirror(parser)


def _fetch(arguments: argparse.Namespace) -> None:
    from dmnet.importers.fetching import fetch

    fetched = fetch(_wanted_files(arguments), arguments.weights, arguments.mirror)
    print(fetched.path)


def _wanted_files(arguments: argparse.Namespace) -> Sequence[PublishedFile]:
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


def _import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, help="ReleaseJob: JSON or its file")
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--output", type=Path, required=True, help="released/<key>, to be made")
    parser.add_argument("--fetch", action="store_true", help="download what is missing first")
    _add_mirror(parser)
    add_repeat(parser)


def _import(arguments: argparse.Namespace) -> None:
    from dmnet.importers.released import import_released

    job = parse(ReleaseJob, read_argument(arguments.config), "--config")
    if arguments.output.name != job.run.key:
        raise ConfigError(
            f"--output {arguments.output}: the content of --config has key {job.run.key}, "
            f"expected a folder of that name, such as released/{job.run.key}"
        )
    if arguments.fetch:
        from dmnet.importers.fetching import fetch

        fetch(job.run.checkpoint.files, arguments.weights, arguments.mirror)
    manifest = import_released(job, arguments.weights, arguments.output, arguments.repeat)
    origin = "SHA-256 as published" if manifest["checkpoint"]["verified"] else "origin unproven"
    logging.info("imported %s (%s)", manifest["checkpoint"]["file"], origin)


def _export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, help="runs/<key>")
    parser.add_argument("--zoo", required=True, help="mmsegmentation or sssegmentation")
    parser.add_argument("--output", type=Path, required=True, help="FILE.pth to write")


def _export(arguments: argparse.Namespace) -> None:
    from dmnet.importers.export import export_run

    tensors = export_run(arguments.run, arguments.zoo, arguments.output)
    logging.info("%d tensors in the layout of %s", tensors, arguments.zoo)


FETCH = Command(
    "fetch",
    "download published weights and verify them",
    _fetch_options,
    _fetch,
    records=None,
)
IMPORT = Command("import", "bring a released checkpoint under our names", _import_options, _import)
EXPORT = Command(
    "export", "a trained run's weights as a zoo's checkpoint", _export_options, _export
)
