"""Where one number comes from: from the report down to weights, data, code and every setting."""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tabulate import tabulate

from dmnet.data.manifest import Manifest
from dmnet.errors import DataError
from dmnet.files import read_json
from pipeline.errors import SpecError
from pipeline.experiments import Cell, Evaluation, Experiment, Run
from pipeline.report import device_text
from pipeline.results import CellResult, RunResult, read_cell
from pipeline.settings import Setting, Settings
from pipeline.status import clock, run_status

ORDER = ("assumed", "inherited", "stated", "table", "preset")  # the doubtful ones first
VALUE_WIDTH = 40  # characters of a setting's value before it is broken
UNKNOWN = "not recorded"

Lines = list[tuple[str, str]]  # (what, its value)


def render_show(experiment: Experiment, cell_id: str, root: Path = Path(".")) -> str:
    """The lineage of the cell, for people; what is pending says so.

    Give the experiment of all tables: only that knows every cell that shares a run. Raises
    SpecError for an unknown cell, ResultError or RunError for a result that is damaged or foreign.
    """
    cell = find_cell(experiment, cell_id)
    result = read_cell(cell, experiment, root)
    blocks = [
        _block(f"Cell {cell.id} at preset {experiment.preset_name}", _value(experiment, result))
    ]
    if cell.profile is not None:
        blocks.append(_block(f"Profile {cell.profile.key}", _profile(experiment, result, root)))
    if cell.speed is not None:
        blocks.append(_block(f"Speed {cell.speed.key}", _speed(experiment, result, root)))
    for evaluation in cell.evaluations:
        run = experiment.runs[evaluation.run_key]
        measured = next((r for r in result.runs if r.evaluation == evaluation), None)
        title = f"Seed {run.job.run.seed}: run {run.key}"
        lines = _run(experiment, cell, run, root)
        lines += _evaluation(cell, evaluation, measured, root)
        blocks.append(_block(title, lines))
    if cell.released is not None:
        name = experiment.releases[cell.released.run_key].job.run.checkpoint.name
        lines = _release(experiment, cell, result, root)
        lines += _evaluation(cell, cell.released, result.released, root)
        blocks.append(_block(f"Released checkpoint {name}", lines))
    blocks.append(_block("To repeat it", [("command", _command(experiment, cell))]))
    blocks.append(_settings(cell.settings))
    return "\n\n".join(blocks)


def find_cell(experiment: Experiment, cell_id: str) -> Cell:
    """Raises SpecError with near matches and where the names stand."""
    cells = {cell.id: cell for cell in experiment.cells}
    if cell_id in cells:
        return cells[cell_id]
    table, _, name = cell_id.rpartition("/")
    near = [known for known, cell in cells.items() if cell.name == name]
    near += difflib.get_close_matches(cell_id, cells, n=3, cutoff=0.6)
    if near:
        expected = f"did you mean {' or '.join(dict.fromkeys(near))}?"
    elif table in experiment.tables:
        expected = f"expected one of {', '.join(c.id for c in experiment.cells_of(table))};"
    else:
        expected = f"expected TABLE/CELL with a table of {', '.join(experiment.tables)};"
    raise SpecError(
        f"cell {cell_id!r}: unknown; {expected} `python -m pipeline plan TABLE` lists the trained "
        "ones, and params/tables/TABLE.yaml names all after `cell:`"
    )


# ----------------------------------------------------------------------------------- the number


def _value(experiment: Experiment, result: CellResult) -> Lines:
    cell, spec = result.cell, experiment.tables[result.cell.table]
    published = cell.spec.published
    lines = [
        ("report", f"reports/{cell.table}.md"),
        ("specification", f"params/tables/{cell.table}.yaml"),
        ("table", spec.title),
        ("row", cell.row),
        ("column", cell.column),
        ("metric", _metric(cell)),
        ("unit", spec.unit),
        ("published", "none" if published is None else f"{published:.2f}"),
        ("published by", spec.source),
        ("ours", _ours(result)),
        ("difference", _difference(experiment, result)),
        ("source of ours", result.source),
    ]
    if (failed := result.failed_job) is not None:
        lines += [("failed", failed["error"]), ("its log", failed["log"])]
    if result.official is not None:
        entry = result.official.result
        lines.append(("given by", f"{entry.source} ({entry.date}) for run {entry.run}"))
        lines.append(("measured here", ", ".join(f"{value:.2f}" for value in result.values) or "-"))
    if cell.spec.note:
        lines.append(("note", cell.spec.note))
    return lines


def _metric(cell: Cell) -> str:
    counted = cell.spec.profile or cell.spec.speed
    if counted is not None:
        return counted.measure.replace("_", " ")
    if cell.spec.metric == "miou":
        return "mIoU"
    return f"IoU of {cell.spec.metric.removeprefix('iou.')}"


def _ours(result: CellResult) -> str:
    seeds = len(result.cell.evaluations)
    if result.source == "pending":
        return f"pending ({len(result.runs)} of {seeds} seeds measured)" if seeds else "pending"
    if result.ours is None:
        return "none: the class does not occur in the data"
    if result.cell.speed is not None:
        return f"{result.ours:.4g}"
    if result.source in ("profiled", "official"):
        return f"{result.ours:.2f}"
    if result.spread is None:
        return f"{result.ours:.2f} (one seed)"
    return f"{result.ours:.2f} ± {result.spread:.2f} (mean and deviation of {seeds} seeds)"


def _difference(experiment: Experiment, result: CellResult) -> str:
    if result.cell.speed is not None:
        return "none: measured on another device than the published one, never judged"
    if result.difference is None:
        return "pending" if result.source == "pending" else "none"
    shown = f"{result.difference:+.2f}"
    if result.source == "profiled" or experiment.preset.judged:
        return shown
    return f"{shown} (not judged: another scale than the published one)"


# ------------------------------------------------------------------------------ run by run


def _run(experiment: Experiment, cell: Cell, run: Run, root: Path) -> Lines:
    """What was trained, on what, by what; of a pending run what is known by now."""
    folder, config = f"runs/{run.key}", run.job.run
    status = run_status(run, root)
    path = root / folder / "train.json"
    trained = read_json(path) if path.exists() else None
    lines = [
        ("cells", ", ".join(run.cells)),
        ("training", f"{status.state}, iteration {status.iteration}/{config.recipe.iterations}"),
        ("iterations", _iterations(cell, run)),
        ("seed", str(config.seed)),
        ("configuration", _file(f"{folder}/config.json", root)),
        ("starts from", _start(experiment, run, trained, root)),
        ("dataset", _dataset(cell, run)),
        ("fingerprint", _fingerprint(run, trained, root)),
        ("log", _file(f"logs/runs/{run.key}/train.log", root)),
    ]
    return lines if trained is None else lines + _trained(folder, trained, root)


def _trained(folder: str, trained: Any, root: Path) -> Lines:
    weights = _at(trained, "weights", "file")
    packages = _at(trained, "environment", "packages")
    seconds = _at(trained, "seconds")
    versions = [f"python {python}"] if (python := _at(trained, "environment", "python")) else []
    if isinstance(packages, dict):
        versions += [f"{name} {version}" for name, version in sorted(packages.items())]
    return [
        ("weights", _file(f"{folder}/{Path(str(weights)).name}", root) if weights else UNKNOWN),
        ("weights SHA-256", _text(_at(trained, "weights", "sha256"))),
        ("code", _code(trained)),
        ("packages", ", ".join(versions) or UNKNOWN),
        ("trained on", _device(trained)),
        ("processes", _processes(trained)),
        ("processor", _processor(trained)),
        ("made by", _text(_at(trained, "repeat"))),
        ("took", UNKNOWN if seconds is None else f"{seconds} s ({clock(float(seconds))})"),
    ]


def _release(experiment: Experiment, cell: Cell, result: CellResult, root: Path) -> Lines:
    """Which published file was evaluated, and what proves that it is it."""
    assert cell.released is not None
    release = experiment.releases[cell.released.run_key]
    lines = [
        ("folder", f"released/{release.key}"),
        ("published by", release.job.run.checkpoint.zoo),
        ("serves", ", ".join(release.cells)),
    ]
    if result.released is None:
        files = release.job.run.checkpoint.files
        return [*lines, ("file", f"pending; weights/{files[0].file}"), ("from", files[0].urls[0])]
    file = _at(result.released.trained, "checkpoint")
    proof = "SHA-256 as published" if _at(file, "verified") else "no published hash: unproven"
    return [
        *lines,
        ("file", _text(_at(file, "file"))),
        ("from", _text(_at(file, "url"))),
        ("SHA-256", f"{_text(_at(file, 'sha256'))} ({proof})"),
        ("log", _file(f"logs/released/{release.key}/import.log", root)),
    ]


def _evaluation(
    cell: Cell, evaluation: Evaluation, measured: RunResult | None, root: Path
) -> Lines:
    inference = evaluation.config.inference.model_dump(mode="json", exclude_none=True)
    lines = [
        ("evaluation", evaluation.name),
        ("split", evaluation.config.split),
        ("protocol", ", ".join(f"{key} {json.dumps(value)}" for key, value in inference.items())),
        ("result", _file(evaluation.path, root)),
        (
            "its log",
            _file(f"logs/{evaluation.folder}/{evaluation.run_key}/{evaluation.name}.log", root),
        ),
    ]
    if measured is None:
        return [*lines, (_metric(cell), "pending")]
    value = "none: no such class" if measured.value is None else f"{measured.value:.2f}"
    lines += [
        ("images", _text(_at(measured.metrics, "images"))),
        ("measured on", measured.measured_on),
        (_metric(cell), value),
    ]
    return lines


def _iterations(cell: Cell, run: Run) -> str:
    """Where a recipe counts epochs, the settings below hold no number of iterations."""
    iterations = run.job.run.recipe.iterations
    epochs = cell.settings.get("recipe.epochs")
    if epochs is None or cell.settings["recipe.iterations"].value is not None:
        return str(iterations)
    split = run.job.run.data.split
    images = run.job.dataset.counts.get(split)
    batch = run.job.run.recipe.batch_size
    return f"{iterations} ({epochs.value} epochs of {images} images in batches of {batch})"


def _start(experiment: Experiment, run: Run, trained: Any, root: Path) -> str:
    """The parent run, the published weights, or nothing."""
    digest = _at(trained, "start_weights")
    suffix = f", SHA-256 {digest}" if digest else ""
    config = run.job.run
    if config.parent is not None:
        parent = experiment.runs[config.parent]
        cells = f" ({', '.join(parent.cells)})" if parent.cells else ""
        return f"parent run {parent.key}{cells}, {run_status(parent, root).state}{suffix}"
    weights = config.model.backbone.weights
    if weights is None:
        return "random weights"
    return f"{weights.name}: weights/{weights.file}{suffix}"


def _dataset(cell: Cell, run: Run) -> str:
    name, data = run.job.dataset.name, run.job.run.data
    if cell.published_dataset != name:
        kind = f"stand-in for {cell.published_dataset}"
        kind += ", drawn" if data.generate is not None else ", real photographs"
    else:
        kind = "drawn" if data.generate is not None else "real, the published one"
    return f"{name} ({kind}), split {data.split}"


def _fingerprint(run: Run, trained: Any, root: Path) -> str:
    """The data that the run was trained on; else those that lie here now."""
    name = run.job.dataset.name
    try:
        here: str | None = Manifest.load(root / "data" / name).fingerprint
    except DataError:
        here = None
    used = _at(trained, "data_fingerprint")
    if trained is None:
        return f"{here} (prepared)" if here else f"pending (data/{name} is not prepared or damaged)"
    if used and here and used != here:
        return f"{used} (data/{name} is now another: {here})"
    return _text(used)


def _code(trained: Any) -> str:
    commit, modified = _at(trained, "code", "commit"), _at(trained, "code", "modified")
    if commit is None:
        return "unknown commit (not a git checkout)"
    changes = {True: "with uncommitted changes", False: "no uncommitted changes"}
    digest = _at(trained, "code", "diff_sha256")
    suffix = f" (SHA-256 {digest})" if digest else ""
    return f"commit {commit}, {changes.get(modified, 'uncommitted changes unknown')}{suffix}"


def _processor(trained: Any) -> str:
    processor = _at(trained, "environment", "processor")
    if not isinstance(processor, dict):
        return UNKNOWN
    cuda = _at(trained, "environment", "cuda")
    suffix = f"; CUDA {cuda}" if cuda else ""
    name, cores, threads = (processor.get(key) for key in ("name", "cores", "threads"))
    return f"{name}, {cores} cores, of which {threads} used{suffix}"


def _processes(trained: Any) -> str:
    """How many shared each batch, and what that changed."""
    counts, parts = trained.get("processes", [1]), trained.get("bn_parts", 1)
    text = ", then ".join(map(str, counts))
    return text if parts == 1 else f"{text}; batch statistics by {parts} parts of each batch"


def _device(trained: Any) -> str:
    parts = [_at(trained, "environment", "device", key) for key in ("type", "name")]
    return ", ".join(str(part) for part in parts if part) or UNKNOWN


# ------------------------------------------------------------------------------------ profiles


def _profile(experiment: Experiment, result: CellResult, root: Path) -> Lines:
    profile, spec = result.cell.profile, result.cell.spec.profile
    assert profile is not None and spec is not None
    sharing = [c.id for c in experiment.cells if c.profile and c.profile.key == profile.key]
    height, width = profile.config.input_size
    lines = [
        ("cells", ", ".join(sharing)),
        ("profile", _file(profile.path, root)),
        ("measure", spec.measure),
        ("unit", f"{spec.per:,} (the count is divided by it)"),
        ("input", f"{height} x {width} (height x width), full model width at every preset"),
        ("log", _file(f"logs/counts/{profile.key}.log", root)),
    ]
    if result.profiled is None:
        return [*lines, ("count", "pending")]
    return [*lines, ("count", f"{read_json(root / profile.path)[spec.measure]:,}")]


def _speed(experiment: Experiment, result: CellResult, root: Path) -> Lines:
    """What was timed, on which device, at the sizes of the preset."""
    speed, spec = result.cell.speed, result.cell.spec.speed
    assert speed is not None and spec is not None
    sharing = [c.id for c in experiment.cells if c.speed and c.speed.key == speed.key]
    config = speed.config
    inference = config.inference.model_dump(mode="json", exclude_none=True)
    lines = [
        ("cells", ", ".join(sharing)),
        ("measurement", _file(speed.path, root)),
        ("photograph", _size(config.image_size)),
        ("protocol", ", ".join(f"{key} {json.dumps(value)}" for key, value in inference.items())),
        (
            "training step",
            f"{config.batch_size} crops of {_size(config.crop_size)} on one device, "
            f"{config.precision}",
        ),
        ("log", _file(f"logs/speed/{speed.key}.log", root)),
    ]
    if result.speed is None:
        return [*lines, (_metric(result.cell), "pending")]
    return [*lines, ("measured on", device_text(result.speed))]


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} (height x width)"


# ------------------------------------------------------------------------------ the small parts


def _command(experiment: Experiment, cell: Cell) -> str:
    return (
        f"snakemake --cores all reports/{cell.table}.md "
        f"--config preset={shlex.quote(experiment.preset_name)} seeds={experiment.seeds}"
    )


def _settings(settings: Settings) -> str:
    def doubt(item: tuple[str, Setting]) -> int:
        origin = item[1].origin
        return ORDER.index(origin) if origin in ORDER else len(ORDER)

    rows = [
        [path, json.dumps(setting.value, ensure_ascii=False), setting.origin, setting.source]
        for path, setting in sorted(settings.items(), key=doubt)
    ]
    assumed = sum(setting.origin == "assumed" for setting in settings.values())
    table = tabulate(
        rows,
        ["setting", "value", "origin", "source"],
        tablefmt="simple",
        disable_numparse=True,
        maxcolwidths=[None, VALUE_WIDTH, None, None],
    )
    return f"Settings: {len(settings)}, of which {assumed} assumed\n{table}"


def _block(title: str, lines: Iterable[tuple[str, str]]) -> str:
    lines = list(lines)
    width = max(len(name) for name, _ in lines)
    return "\n".join([title, *(f"  {name:<{width}}  {value}".rstrip() for name, value in lines)])


def _file(path: str, root: Path) -> str:
    return path if (root / path).exists() else f"{path} (not here)"


def _at(content: Any, *keys: str) -> Any:
    """The entry at this path, or None where the file does not have it."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _text(value: Any) -> str:
    return UNKNOWN if value is None else str(value)
