"""One training run: from what, on what data, by which code and machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dmnet.data.manifest import Manifest
from dmnet.errors import DataError
from dmnet.text import clock
from pipeline import paths
from pipeline.experiments import Cell, Experiment, Run
from pipeline.inspection.show.text import UNKNOWN, Lines, code_text, entry_at, file_here, recorded
from pipeline.results.of_cells import in_words
from pipeline.results.run_status import run_status
from pipeline.results.schemas import Trained, read_result_file
from pipeline.results.trained_on import trained_on


def run_lines(experiment: Experiment, cell: Cell, run: Run, root: Path) -> Lines:
    """What was trained, on what, by what; of a pending run what is known by now."""
    folder, config = paths.run(run.key), run.job.run
    status = run_status(run, root)
    path = root / paths.trained(run.key)
    trained = read_result_file(path, Trained) if path.exists() else None
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


def _trained(folder: str, trained: Any, root: Path) -> Lines:
    weights = entry_at(trained, "weights", "file")
    packages = entry_at(trained, "environment", "packages")
    seconds = entry_at(trained, "seconds")
    versions = (
        [f"python {python}"] if (python := entry_at(trained, "environment", "python")) else []
    )
    if isinstance(packages, dict):
        versions += [f"{name} {version}" for name, version in sorted(packages.items())]
    return [
        ("weights", file_here(f"{folder}/{Path(str(weights)).name}", root) if weights else UNKNOWN),
        ("weights SHA-256", recorded(entry_at(trained, "weights", "sha256"))),
        *_code(trained),
        ("packages", ", ".join(versions) or UNKNOWN),
        ("trained on", _device(trained)),
        ("processes", _processes(trained)),
        ("processor", _processor(trained)),
        ("accelerated by", _acceleration(trained)),
        ("made by", recorded(entry_at(trained, "repeat"))),
        ("took", UNKNOWN if seconds is None else f"{seconds} s ({clock(float(seconds))})"),
    ]


def _code(trained: Any) -> Lines:
    """Of each attempt, where they had not the same."""
    attempts = entry_at(trained, "attempts")
    attempts = attempts if isinstance(attempts, list) else []
    texts = [code_text(attempt) for attempt in attempts]
    if len(set(texts)) < 2:
        return [("code", code_text(trained))]
    ends = [(entry_at(attempt, "from"), entry_at(attempt, "to")) for attempt in attempts]
    return [
        ("code", f"iterations {start} to {end}: {text}")
        for (start, end), text in zip(ends, texts, strict=True)
    ]


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
    digest = entry_at(trained, "start_weights")
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
    folder = paths.dataset(run.job.dataset.name)
    try:
        here: str | None = Manifest.load(root / folder).fingerprint
    except DataError:
        here = None
    used = entry_at(trained, "data_fingerprint")
    if trained is None:
        return f"{here} (prepared)" if here else f"pending ({folder} is not prepared or damaged)"
    if used and here and used != here:
        return f"{used} ({folder} is now another: {here})"
    return recorded(used)


def _processor(trained: Any) -> str:
    processor = entry_at(trained, "environment", "processor")
    if not isinstance(processor, dict):
        return UNKNOWN
    cuda = entry_at(trained, "environment", "cuda")
    suffix = f"; CUDA {cuda}" if cuda else ""
    name, cores, threads = (processor.get(key) for key in ("name", "cores", "threads"))
    used = processor.get("instructions")
    instructions = f" ({used})" if used else ""
    return f"{name}{instructions}, {cores} cores, of which {threads} used{suffix}"


def _processes(trained: Any) -> str:
    """How many shared each batch, and what that changed."""
    counts, parts = trained.get("processes", [1]), trained.get("bn_parts", 1)
    text = ", then ".join(map(str, counts))
    return text if parts == 1 else f"{text}; batch statistics by {parts} parts of each batch"


def _acceleration(trained: Any) -> str:
    """What of dmnet/training/acceleration.py was on in the last attempt; it changes roundings."""
    found = trained.get("acceleration")
    if not isinstance(found, dict):
        return UNKNOWN
    layers = found.get("fast_convolutions")
    parts = [
        "channels innermost" if found.get("channels_last") else "",
        "updates in one kernel" if found.get("fused_update") else "",
        "convolutions chosen by trial" if found.get("tried_convolutions") else "",
        f"{layers} convolutions with fewer multiplications" if layers else "",
    ]
    return ", ".join(part for part in parts if part) or "nothing"


def _device(trained: Any) -> str:
    kind, name, tf32 = (
        entry_at(trained, "environment", "device", key) for key in ("type", "name", "tf32")
    )
    found = ", ".join(str(part) for part in (kind, name) if part)
    if not found:
        return UNKNOWN
    _, *bits = trained_on(trained).split(", ")
    return ", ".join([in_words(found, None, tf32), *bits])
