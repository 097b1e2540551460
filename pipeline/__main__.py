"""Command line of the pipeline: look ahead, look around, write reports, keep records.

python -m pipeline plan [TARGET]      the cost, before anything runs
python -m pipeline status [TARGET]    done, running, pending
python -m pipeline data [TARGET]      which datasets are there, and what to do
python -m pipeline show CELL          where a cell's number comes from
python -m pipeline record [TARGET]    hand finished runs to MLflow and DVC
python -m pipeline report TABLE, summary, page, resolve KEY, describe DATASET: what the rules call

All take --preset P and --seeds N.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import read_json, to_json, write_text
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


def data(arguments: argparse.Namespace) -> None:
    from pipeline.data_status import render_data

    experiment = experiment_of(arguments)
    print(render_data(experiment, arguments.sources, check=arguments.check))


def show(arguments: argparse.Namespace) -> None:
    from pipeline.show import render_show

    print(render_show(experiment_of(arguments), arguments.cell))


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


def summary(arguments: argparse.Namespace) -> None:
    """Claims and index, from the JSON reports of all tables."""
    from pipeline.claims import evaluate_claims, load_claims
    from pipeline.claims_report import render_claims
    from pipeline.index import render_index

    experiment, folder = experiment_of(arguments), arguments.folder
    reports = {table: read_json(folder / f"{table}.json") for table in experiment.tables}
    claims = evaluate_claims(load_claims(PARAMS, experiment.tables), reports)
    preset = next(iter(reports.values()))["preset"]
    write_text(folder / "claims.json", to_json(claims))
    write_text(folder / "claims.md", render_claims(claims, preset))
    write_text(folder / "index.md", render_index(reports, preset["name"], preset["title"]))


def page(arguments: argparse.Namespace) -> None:
    """All reports on one self-contained page, from their JSON and the runs' histories."""
    from pipeline.page import read_histories, read_inputs, render_page

    experiment, folder = experiment_of(arguments), arguments.folder
    reports, claims, figure = read_inputs(
        list(experiment.tables), folder, experiment.preset_name, experiment.seeds
    )
    html = render_page(reports, claims, read_histories(reports), figure)
    write_text(folder / "overview.html", html)


def record(arguments: argparse.Namespace) -> None:
    from pipeline.record import record_runs

    everything = build_experiment(arguments.preset, arguments.seeds)
    keys = set(experiment_of(arguments).runs)
    record_runs(everything, keys, dvc=not arguments.no_dvc)


def parser() -> argparse.ArgumentParser:
    about = (__doc__ or "").splitlines()[0]
    root = argparse.ArgumentParser(prog="python -m pipeline", description=about)
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    for name, action, text in (
        ("plan", plan, "cells, shared runs, iterations and an estimate of the cost"),
        ("status", status, "what is done, running (iteration, ETA, mIoU) and pending"),
        ("data", data, "which datasets are there, complete or damaged, and what to do"),
        ("record", record, "hand finished runs to MLflow and DVC"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("target", nargs="?", help="a table, e.g. table2; default: all")
        command.set_defaults(action=action)
    commands.choices["record"].add_argument("--no-dvc", action="store_true", help="MLflow only")
    command = commands.choices["data"]
    command.add_argument("--sources", type=Path, default=Path("data/sources"))
    command.add_argument("--check", action="store_true", help="read and hash every file")

    command = commands.add_parser("show", help="where a cell's number comes from")
    command.add_argument("cell", help="such as table2/context-aware")
    command.set_defaults(action=show)

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

    command = commands.add_parser("summary", help="write claims.md and index.md")
    command.add_argument("--folder", type=Path, default=Path("reports"))
    command.set_defaults(action=summary)

    command = commands.add_parser("page", help="write overview.html, all reports on one page")
    command.add_argument("--folder", type=Path, default=Path("reports"))
    command.set_defaults(action=page)

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
