"""Command line of the pipeline: look ahead, look around, write reports, keep records.

python -m pipeline plan [TARGET]      the cost, before anything runs
python -m pipeline status [TARGET]    done, running, pending
python -m pipeline data [TARGET]      which datasets are there, and what to do
python -m pipeline show CELL          where a cell's number comes from
python -m pipeline record [TARGET]    hand finished runs to MLflow and DVC
python -m pipeline ui                 MLflow's pages, their curves moving while runs train
python -m pipeline pull [TARGET]      others' runs, or their results only, from the DVC remote
python -m pipeline push               what is recorded, to the DVC remote; tells what never came
python -m pipeline check              what DVC would follow, before a plain `dvc pull`
python -m pipeline verify             every hash again, from the reports down to the data
python -m pipeline gc [--delete]      results that no table needs any more
python -m pipeline report TABLE        what there is of a table by now, to reports/partial/
python -m pipeline fetch CHECKPOINT   released checkpoints (a name or a pattern) into weights/
python -m pipeline gpu-status          the README's line on GPUs, from docs/gpu
python -m pipeline fidelity            ours against the reference implementations
python -m pipeline summary, page, partial, figure NAME, submission TABLE, resolve KEY,
    describe DATASET: what the rules call

All but check, fetch, fidelity, gc, gpu-status, push and verify take --preset P,
--seeds N and --source S.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from dmnet.clone import require_own_clone
from dmnet.collector import collect_rarely
from dmnet.errors import DMNetError
from dmnet.files import to_json, write_bytes, write_text
from dmnet.text import all_visible, error_line
from pipeline.errors import SpecError
from pipeline.experiments import PARAMS, Experiment, build_experiment
from pipeline.spec.params import Params


def experiment_of(arguments: argparse.Namespace) -> Experiment:
    """The experiment of TARGET: a table's name, its report's path, or nothing for all."""
    target = getattr(arguments, "target", None)
    tables = None if target in (None, "reports", "all") else [Path(target).stem]
    return build_experiment(arguments.preset, arguments.seeds, tables, source=arguments.source)


def plan(arguments: argparse.Namespace) -> None:
    from pipeline.inspection.plan import render_plan

    costs = Params(PARAMS).costs()
    print(
        render_plan(
            experiment_of(arguments), costs, card_name=arguments.card, profiles=arguments.profile
        )
    )


def status(arguments: argparse.Namespace) -> None:
    from pipeline.inspection.status import render_status

    print(render_status(experiment_of(arguments)))


def data(arguments: argparse.Namespace) -> None:
    from pipeline.inspection.data_status import render_data

    experiment = experiment_of(arguments)
    print(render_data(experiment, arguments.sources, check=arguments.check))


def show(arguments: argparse.Namespace) -> None:
    from pipeline.inspection.show import render_show

    print(render_show(experiment_of(arguments), arguments.cell))


def resolve(arguments: argparse.Namespace) -> None:
    experiment = experiment_of(arguments)
    run = experiment.runs.get(arguments.key) or experiment.releases.get(arguments.key)
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
    from pipeline.reports.build import build_report
    from pipeline.reports.verdict import load_rules
    from pipeline.reports.write import write_partial, write_report

    experiment = experiment_of(arguments)
    content = build_report(experiment, arguments.target, rules=load_rules(PARAMS))
    if arguments.complete:
        write_report(content, arguments.folder)
    else:
        print(write_partial(content, arguments.folder))


def partial(arguments: argparse.Namespace) -> None:
    """After a failure: the tables with a failed cell, as far as they have come."""
    from pipeline.reports.build import build_report
    from pipeline.reports.verdict import load_rules
    from pipeline.reports.write import write_partial

    experiment = experiment_of(arguments)
    for table in experiment.tables:
        content = build_report(experiment, table, rules=load_rules(PARAMS))
        if content.lacking("failed"):
            print(f"{write_partial(content, arguments.folder)}: {content.source_counts}")


def figure(arguments: argparse.Namespace) -> None:
    from pipeline.experiments.figures import load_figures
    from pipeline.reports.figures.caption import render_caption
    from pipeline.reports.figures.content import build_figure
    from pipeline.reports.figures.drawing import draw_figure

    experiment = build_experiment(arguments.preset, arguments.seeds, source=arguments.source)
    figures, name, folder = load_figures(PARAMS, experiment), arguments.name, arguments.folder
    if name not in figures:
        raise SpecError(f"unknown figure {name!r}; expected one of {', '.join(figures) or 'none'}")
    content, rows = build_figure(experiment, figures[name])
    write_bytes(folder / f"{name}.png", draw_figure(content, rows))
    write_text(folder / f"{name}.json", to_json(content))
    write_text(folder / f"{name}.md", render_caption(content))


def submission(arguments: argparse.Namespace) -> None:
    from pipeline.reports.submission import describe_submission, write_submission

    experiment, folder = experiment_of(arguments), arguments.folder
    written = write_submission(experiment, arguments.target, arguments.predictions, folder)
    print(describe_submission(written, folder))


def summary(arguments: argparse.Namespace) -> None:
    """Claims and index, from the JSON reports of all tables."""
    from pipeline.experiments.figures import load_figures
    from pipeline.reports.write import write_summary

    experiment = experiment_of(arguments)
    write_summary(experiment, load_figures(PARAMS, experiment), arguments.folder)


def page(arguments: argparse.Namespace) -> None:
    """All reports on one self-contained page, from their JSON and the runs' histories."""
    from pipeline.reports.html.inputs import read_histories, read_inputs
    from pipeline.reports.html.page import render_page

    experiment, folder = experiment_of(arguments), arguments.folder
    reports, claims, figure = read_inputs(
        experiment.tables, folder, experiment.preset_name, experiment.seeds
    )
    html = render_page(reports, claims, read_histories(reports.values()), figure)
    write_text(folder / "overview.html", html)


def record(arguments: argparse.Namespace) -> None:
    from pipeline.records.record import record_runs
    from pipeline.records.unrecorded import unmark
    from pipeline.workflow.invocation import Invocation

    everything = build_experiment(arguments.preset, arguments.seeds, source=arguments.source)
    asked = experiment_of(arguments)
    keys = {*asked.runs, *asked.releases}
    record_runs(everything, keys, dvc=not arguments.no_dvc, limit=arguments.limit)
    if arguments.target is None and not arguments.no_dvc:
        invocation = {name: getattr(arguments, name) for name in ("preset", "seeds", "source")}
        unmark(Invocation.read(invocation).options)


def ui(arguments: argparse.Namespace) -> None:
    from pipeline.tracking.ui import serve

    everything = build_experiment(arguments.preset, arguments.seeds, source=arguments.source)
    serve(everything, arguments.host, arguments.port, arguments.every)


def verify(arguments: argparse.Namespace) -> None:
    from pipeline.inspection.verify import verify as verify_tree
    from pipeline.inspection.verify.findings import refuse

    if arguments.repair:
        from pipeline.inspection.verify.repair import repair

        for line in repair():
            print(line)
    findings = verify_tree(quick=arguments.quick)
    for line in findings.absent:
        print(line)
    for line in findings.noted:
        print(f"more than one code: {line}")
    for line in findings.wrong:
        print(f"does not fit: {line}")
    print(findings.summary())
    refuse(findings)


def gc(arguments: argparse.Namespace) -> None:
    from pipeline.inspection.unneeded import delete, megabytes, needed, render_gc, unneeded

    of_tables = needed(arguments.preset or (), arguments.seeds)
    entries = unneeded(of_tables)
    print(render_gc(of_tables, entries))
    if entries and arguments.delete:
        print(f"{megabytes(delete(entries))} freed; what was pushed stays in the DVC remote")
    elif entries:
        print("nothing is deleted without --delete; the DVC remote keeps its copies even then")


def pull(arguments: argparse.Namespace) -> None:
    from pipeline.records.sharing import pull as pull_runs

    keys = None
    if arguments.target is not None:
        asked = experiment_of(arguments)
        keys = {*asked.runs, *asked.releases, *asked.profiles, *asked.speeds}
    print(pull_runs(keys, results=arguments.results))


def push(arguments: argparse.Namespace) -> None:
    from pipeline.records.sharing import push as push_runs

    print(push_runs())


def check(arguments: argparse.Namespace) -> None:
    from pipeline.records.sharing import check as check_entries

    print(check_entries())


def fidelity(arguments: argparse.Namespace) -> None:
    from pipeline.reports.fidelity import write_fidelity

    write_fidelity(arguments.folder)


def fetch(arguments: argparse.Namespace) -> None:
    from pipeline.spec.checkpoints import fetch_checkpoints

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    fetch_checkpoints(PARAMS, arguments.checkpoint, arguments.weights, arguments.mirror)


def gpu_status(arguments: argparse.Namespace) -> None:
    from pipeline.inspection.gpu_status import gpu_row

    print(gpu_row())


# name -> what it does, help, how it names its argument (None: it has none)
COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], None], str, str | None]] = {
    "plan": (plan, "cells, shared runs, iterations and an estimate of the cost", "target"),
    "status": (status, "what is done, running (iteration, ETA, mIoU) and pending", "target"),
    "data": (data, "which datasets are there, complete or damaged, and what to do", "target"),
    "record": (record, "hand finished runs to MLflow and DVC", "target"),
    "ui": (ui, "MLflow's pages of the runs, their curves moving while they train", None),
    "verify": (verify, "check every hash, from the reports down to the data", None),
    "gc": (gc, "list, or delete, results that no table needs", None),
    "pull": (pull, "bring shared runs here, with or without weights", "target"),
    "push": (push, "send all that is recorded to the DVC remote, and ask it whether it came", None),
    "check": (check, "whether DVC's entries name only their own results' files", None),
    "show": (show, "where a cell's number comes from", "cell"),
    "report": (report, "what there is of a table, to reports/partial/", "table"),
    "partial": (partial, "write the tables that miss a failed run", None),
    "figure": (figure, "draw a figure from finished predictions", "name"),
    "submission": (submission, "pack predictions for a test server", "table"),
    "summary": (summary, "write claims.md and index.md", None),
    "page": (page, "write overview.html, all reports on one page", None),
    "resolve": (resolve, "write a run's config.json", "key"),
    "describe": (describe, "write a dataset's configuration", "name"),
    "fidelity": (fidelity, "compare with the reference implementations' recorded outputs", None),
    "fetch": (fetch, "download and verify released checkpoints", "checkpoint"),
    "gpu-status": (gpu_status, "on which GPUs this was measured, for the README", None),
}
ABOUT = "Command line of the pipeline: look ahead, look around, write reports, keep records."
INTO_FOLDER = ("report", "partial", "figure", "submission", "summary", "page", "fidelity")
INTO_FILE = ("resolve", "describe")
OF_NO_PRESET = ("gpu-status", "fidelity", "fetch", "verify", "gc", "push", "check")


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m pipeline", description=ABOUT)
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for name, (action, text, argument) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        command.set_defaults(action=action)
        if argument == "target":
            command.add_argument("target", nargs="?", help="a table, e.g. table2; default: all")
        elif argument == "table":
            command.add_argument("target", metavar="table")
        elif argument is not None:
            command.add_argument(argument)
        if name in INTO_FOLDER:
            command.add_argument("--folder", type=Path, default=Path("reports"))
        if name in INTO_FILE:
            command.add_argument("--output", type=Path, required=True)
        if name not in OF_NO_PRESET:
            about = "mini (default), smoke, small or paper"
            command.add_argument("--preset", default="mini", help=about)
            command.add_argument("--seeds", type=int, default=1, help="seeds per run; default 1")
            command.add_argument(
                "--source",
                default="trained",
                help="trained (default), released (published checkpoints), or both",
            )
    add = commands.choices["plan"].add_argument
    about = "a cluster's, as for snakemake; may be given several times: its jobs, limits, disk"
    add("--profile", type=Path, action="append", metavar="FOLDER", help=about)
    add("--card", metavar="NAME", help="the GPU; default: the profile's, or this machine's")
    add = commands.choices["record"].add_argument
    add("--no-dvc", action="store_true", help="MLflow only")
    add("--limit", type=float, default=900, help="seconds for MLflow; default 900")
    add = commands.choices["ui"].add_argument
    add("--host", default="127.0.0.1", help="default: this machine only")
    add("--port", type=int, default=5000)
    add("--every", type=float, default=10, help="seconds between looks at the runs; default 10")
    add = commands.choices["data"].add_argument
    add("--sources", type=Path, default=Path("data/sources"))
    add("--check", action="store_true", help="read and hash every file")
    add = commands.choices["pull"].add_argument
    add("--results", action="store_true", help="without weights: enough for every report")
    add = commands.choices["gc"].add_argument
    about = "needed is what this preset needs; may be given several times; default: all presets"
    add("--preset", action="append", help=about)
    add("--seeds", type=int, help="seeds per run; default: as many as there are runs of")
    add("--delete", action="store_true", help="delete what is listed")
    add = commands.choices["verify"].add_argument
    add("--quick", action="store_true", help="do not read the datasets' images")
    add("--repair", action="store_true", help="first bring recorded copies of damaged files back")
    add = commands.choices["report"].add_argument
    add("--complete", action="store_true", help="into its place, or not at all (for the rules)")
    about = "their JSON manifest"
    commands.choices["submission"].add_argument(
        "--predictions", type=Path, required=True, help=about
    )
    add = commands.choices["fetch"].add_argument
    add("--weights", type=Path, default=Path("weights"))
    add("--mirror", help="a folder (or file:// address) to copy from, without a network")
    return root


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    collect_rarely()
    with all_visible():
        try:
            require_own_clone()
            arguments.action(arguments)
        except DMNetError as error:
            print(error_line(error), file=sys.stderr)
            return 1
        except BrokenPipeError:  # the reader of our output (head, less) went away
            sys.stderr.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
