"""One training run: from what, on what data, by which code and machine."""

from __future__ import annotations

from pathlib import Path

from dmnet.data.manifest import Manifest
from dmnet.errors import DataError
from dmnet.text import clock
from pipeline import paths
from pipeline.experiments import Cell, Experiment, Run
from pipeline.inspection.show.text import UNKNOWN, Lines, code_text, file_here
from pipeline.results.files import read_if_there
from pipeline.results.run_status import run_status
from pipeline.results.schemas import Acceleration, Environment, Trained
from pipeline.results.trained_on import in_words, trained_on


def run_lines(experiment: Experiment, cell: Cell, run: Run, root: Path) -> Lines:
    """What was trained, on what, by what; of a pending run what is known by now."""
    folder, config = paths.run(run.key), run.job.run
    status = run_status(run, root)
    trained = read_if_there(root / paths.trained(run.key), Trained)
    lines = [
        ("cells", ", ".join(run.cells)),
        ("training", f"{status.state}, iteration {status.iteration}/{config.recipe.iterations}"),
        ("iterations", _iterations(cell, run)),
        ("seed", str(config.seed)),
        ("configuration", file_here(paths.config(run.key), root)),
        ("starts from", _start(experiment, run, trained, root)),
        ("dataset", _dataset(cell, run)),
        ("fingerprint", _fingerprint(run, trained, root)),
        ("log", file_here(paths.log(paths.trained(run.key)), root)),
    ]
    return lines if trained is None else lines + _trained(folder, trained, root)


def _trained(folder: str, trained: Trained, root: Path) -> Lines:
    place, seconds, parts = trained.environment, trained.seconds, trained.bn_parts
    code = [("code", code_text(trained.code))]
    if len({code_text(known) for known in trained.codes}) > 1:  # of each attempt
        code = [
            ("code", f"iterations {attempt.begin} to {attempt.end}: {code_text(attempt.code)}")
            for attempt in trained.attempts
        ]
    processes = ", then ".join(map(str, trained.processes))
    if parts > 1:
        processes += f"; batch statistics by {parts} parts of each batch"
    versions = [f"python {place.python}"] if place.python else []
    versions += [f"{name} {version}" for name, version in sorted((place.packages or {}).items())]
    return [
        ("weights", file_here(f"{folder}/{trained.weights.file}", root)),
        ("weights SHA-256", trained.weights.sha256),
        *code,
        ("packages", ", ".join(versions) or UNKNOWN),
        ("trained on", _device(trained)),
        ("processes", processes),
        ("processor", _processor(place)),
        ("accelerated by", _acceleration(trained.acceleration)),
        ("made by", trained.repeat or UNKNOWN),
        ("took", UNKNOWN if seconds is None else f"{seconds} s ({clock(seconds)})"),
    ]


def _iterations(cell: Cell, run: Run) -> str:
    """Where a recipe counts epochs, the settings below hold no number of iterations."""
    recipe, epochs = run.job.run.recipe, cell.settings.get("recipe.epochs")
    if epochs is None or cell.settings["recipe.iterations"].value is not None:
        return str(recipe.iterations)
    images = run.job.dataset.counts.get(run.job.run.data.split)
    counted = f"{epochs.value} epochs of {images} images in batches of {recipe.batch_size}"
    return f"{recipe.iterations} ({counted})"


def _start(experiment: Experiment, run: Run, trained: Trained | None, root: Path) -> str:
    """The parent run, the published weights, or nothing."""
    digest = trained.start_weights if trained else None
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


def _fingerprint(run: Run, trained: Trained | None, root: Path) -> str:
    """The data that the run was trained on; else those that lie here now."""
    folder = paths.dataset(run.job.dataset.name)
    try:
        here: str | None = Manifest.load(root / folder).fingerprint
    except DataError:
        here = None
    if trained is None:
        return f"{here} (prepared)" if here else f"pending ({folder} is not prepared or damaged)"
    used = trained.data_fingerprint
    return used if here in (None, used) else f"{used} ({folder} is now another: {here})"


def _processor(place: Environment) -> str:
    processor = place.processor
    if processor is None:
        return UNKNOWN
    instructions = f" ({processor.instructions})" if processor.instructions else ""
    suffix = f"; CUDA {place.cuda}" if place.cuda else ""
    used = f"{processor.cores} cores, of which {processor.threads} used"
    return f"{processor.name}{instructions}, {used}{suffix}"


def _acceleration(acceleration: Acceleration | None) -> str:
    """What of dmnet/training/acceleration.py was on in the last attempt; it changes roundings."""
    if acceleration is None:
        return UNKNOWN
    layers = acceleration.fast_convolutions
    parts = [
        "channels innermost" if acceleration.channels_last else "",
        "updates in one kernel" if acceleration.fused_update else "",
        "convolutions chosen by trial" if acceleration.tried_convolutions else "",
        f"{layers} convolutions with fewer multiplications" if layers else "",
    ]
    return ", ".join(part for part in parts if part) or "nothing"


def _device(trained: Trained) -> str:
    device = trained.environment.device
    name = f"{device.type}, {device.name}" if device.name else device.type
    _, *bits = trained_on(trained).split(", ")
    return ", ".join([in_words(name, None, device.tf32), *bits])
