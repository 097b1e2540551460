"""Command line of the pipeline: look ahead, look around, write reports, keep records.

python -m pipeline plan [TARGET] [--preset P] [--seeds N]     the cost, before anything runs
python -m pipeline status [TARGET] [--preset P] [--seeds N]   done, running, pending
python -m pipeline record [TARGET] [--preset P] [--seeds N]   hand finished runs to MLflow, DVC
python -m pipeline report TABLE, resolve KEY, describe DATASET   what the rules call
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import to_json, write_text
from pipeline.errors import SpecError
from pipeline.experiments import PARAMS, Experiment, build_experiment
from pipeline.specs import Params


def experiment_of(arguments: argparse.Namespace) -> Experiment:
    """The experiment of TARGET: a table's name, its report's path, or nothing for all."""
    target = getattr(arguments, "target", None)
    tables = None if target in (None, "reports", "all") else [Path(target).stem]
    return build_experiment(arguments.preset, arguments.seeds, tables)


def plan(arguments: argparse.Namespace) -> None:
    from pipeline.plan import render_plan

    print(render_plan(experiment_of(arguments), Params(PARAMS).costs()))


def status(arguments: argparse.Namespace) -> None:
    from pipeline.status import render_status

    print(render_status(experiment_of(arguments)))


def resolve(arguments: argparse.Namespace) -> None:
    run = experiment_of(arguments).runs.get(arguments.key)
    if run is None:
        raise SpecError(
            f"run {arguments.key}: no table has it at preset {arguments.preset!r} with "
            f"{arguments.seeds} seed(s); see `python -m pipeline plan`"
        )
    write_text(arguments.output, to_json(run.job.model_dump(mode="json")))


def describe(arguments: argparse.Namespace) -> None:
    dataset = experiment_of(arguments).datasets.get(arguments.name)
    if dataset is None:
        raise SpecError(
            f"dataset {arguments.name}: not used at preset {arguments.preset!r}; "
            "expected one of those that `python -m pipeline plan` names"
        )
    write_text(arguments.output, to_json(dataset.model_dump(mode="json")))


def report(arguments: argparse.Namespace) -> None:
    from pipeline.dvc_views import metrics_of, points_of
    from pipeline.render import render_markdown
    from pipeline.report import build_report

    table, folder = arguments.target, arguments.folder
    content = build_report(experiment_of(arguments), table)
    write_text(folder / f"{table}.json", to_json(content))
    write_text(folder / "metrics" / f"{table}.json", to_json(metrics_of(content)))
    write_text(folder / "metrics" / f"{table}.csv", points_of(content))
    write_text(folder / f"{table}.md", render_markdown(content))


def record(arguments: argparse.Namespace) -> None:
    from pipeline.record import record_runs

    everything = build_experiment(arguments.preset, arguments.seeds)
    keys = set(experiment_of(arguments).runs)
    record_runs(everything, keys, dvc=not arguments.no_dvc)


def parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").splitlines()[0]
    root = argparse.ArgumentParser(prog="python -m pipeline", description=summary)
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    for name, action, text in (
        ("plan", plan, "cells, shared runs, iterations and an estimate of the cost"),
        ("status", status, "what is done, running (iteration, ETA, mIoU) and pending"),
        ("record", record, "hand finished runs to MLflow and DVC"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("target", nargs="?", help="a table, e.g. table2; default: all")
        command.set_defaults(action=action)
    command.add_argument("--no-dvc", action="store_true", help="MLflow only")

    command = commands.add_parser("resolve", help="write a run's config.json")
    command.add_argument("key")
    command.add_argument("--output", type=Path, required=True)
    command.set_defaults(action=resolve)

    command = commands.add_parser("describe", help="write a dataset's configuration")
    command.add_argument("name")
    command.add_argument("--output", type=Path, required=True)
    command.set_defaults(action=describe)

    command = commands.add_parser("report", help="write a table's report")
    command.add_argument("target", metavar="table")
    command.add_argument("--folder", type=Path, default=Path("reports"))
    command.set_defaults(action=report)

    for command in commands.choices.values():
        command.add_argument("--preset", default="mini", help="mini (default), small or paper")
        command.add_argument("--seeds", type=int, default=1, help="seeds per run; default 1")
    return root


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        arguments.action(arguments)
    except DMNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output (head, less) went away
        sys.stderr.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
