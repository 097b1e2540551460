"""`profile` and `speed`: what a model costs, without weights."""

from __future__ import annotations

import argparse
import logging
from functools import partial

from dmnet.commands.command import Command, add_config_and_output, read_argument
from dmnet.config import CountConfig, SpeedConfig, parse
from dmnet.files import write_json


def _profile(arguments: argparse.Namespace) -> None:
    from dmnet.counts import count

    config = parse(CountConfig, read_argument(arguments.config), "--config")
    write_json(arguments.output, count(config))


def _speed(arguments: argparse.Namespace) -> None:
    from dmnet.speed import measure

    result = measure(parse(SpeedConfig, read_argument(arguments.config), "--config"))
    write_json(arguments.output, result)
    logging.info(
        "%.3g images/s, %.2f GiB in training (%s)",
        result["frames_per_second"],
        result["memory_bytes"] / 2**30,
        result["memory_kind"],
    )


PROFILE = Command(
    "profile",
    "count a multi-scale module's cost",
    partial(add_config_and_output, schema="ProfileConfig"),
    _profile,
    records="package",
)
SPEED = Command(
    "speed",
    "measure inference speed and training memory",
    partial(add_config_and_output, schema="SpeedConfig"),
    _speed,
)
