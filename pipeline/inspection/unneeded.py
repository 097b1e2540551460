"""What no table needs any more, with its size; `--delete` deletes it.

    runs/<key>  released/<key>  predictions/<key>/<name>  counts/<key>.json  speed/<key>.json

Needed is what any table, figure or submission asks for at the given presets. Anything that cannot
be told for certain is kept.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dmnet.config import JobConfig, parse
from dmnet.errors import DMNetError
from dmnet.files import read_json
from dmnet.lock import open_lock, try_lock
from pipeline import paths
from pipeline.errors import RecordError
from pipeline.experiments import PARAMS, Experiment, build_experiment
from pipeline.experiments.figures import load_figures
from pipeline.results.run_status import is_training
from pipeline.spec.params import Params

KEY = re.compile(paths.KEY)


@dataclass(frozen=True)
class Unneeded:
    """One result that no table needs, with the files that go with it (entry, logs)."""

    path: Path
    also: tuple[Path, ...]
    bytes: int


@dataclass(frozen=True)
class Needed:
    """Paths that some table needs."""

    paths: frozenset[str]
    presets: tuple[str, ...]
    seeds: int


def needed(presets: Sequence[str], seeds: int | None, root: Path = Path(".")) -> Needed:
    """presets: all when empty; seeds: as many as the runs here have, when None.

    Raises SpecError or ConfigError when a preset cannot be resolved: then nothing may be deleted.
    """
    names = tuple(presets) or Params(PARAMS).preset_names
    count = seeds or _seeds_found(root)
    asked: set[str] = set()
    for name in names:
        asked |= _paths(build_experiment(name, count))
        try:
            asked |= _paths(build_experiment(name, count, weights_source="both"))
        except DMNetError:  # checkpoints that know other classes than this preset's data
            continue
    return Needed(frozenset(asked), names, count)


def unneeded(needed: Needed, root: Path = Path(".")) -> list[Unneeded]:
    """Largest first. A run that is being trained is never among them."""
    found = [
        entry
        for entry in _candidates(root)
        if entry.path.relative_to(root).as_posix() not in needed.paths
    ]
    return sorted(found, key=lambda entry: (-entry.bytes, entry.path))


def delete(entries: Iterable[Unneeded], root: Path = Path(".")) -> int:
    """Returns the bytes freed. Raises RecordError when something cannot be removed."""
    freed = 0
    for entry in entries:
        try:
            with _not_training(entry.path, root) as free:
                if not free:
                    continue
                for path in (*entry.also, entry.path):
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink(missing_ok=True)
        except OSError as error:
            raise RecordError(
                f"{error.filename}: cannot be removed ({error.strerror}); make its folder "
                "writable, then give the same command again"
            ) from error
        freed += entry.bytes
    return freed


def render_gc(needed: Needed, entries: list[Unneeded], root: Path = Path(".")) -> str:
    lines = []
    for entry in entries:
        also = ", ".join(path.relative_to(root).as_posix() for path in entry.also)
        line = f"{megabytes(entry.bytes):>12}  {entry.path.relative_to(root)}"
        lines.append(line + (f" (and {also})" if also else ""))
    scope = f"presets {', '.join(needed.presets)}, {needed.seeds} seed(s)"
    total = megabytes(sum(entry.bytes for entry in entries))
    return "\n".join([*lines, f"{len(entries)} results, {total}, are needed by no table ({scope})"])


def megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _paths(experiment: Experiment) -> set[str]:
    figures = load_figures(PARAMS, experiment).values()
    return {
        *map(paths.run, experiment.runs),
        *(paths.run(key, paths.RELEASED) for key in experiment.releases),
        *experiment.measurements,
        *(column.path for figure in figures for column in figure.columns),
        *(submission.predictions for submission in experiment.submissions.values()),
    }


def _seeds_found(root: Path) -> int:
    """One more than the largest seed among the configurations in `runs/`."""
    seeds = [0]
    for path in root.glob(paths.config("*")):
        try:
            seeds.append(parse(JobConfig, read_json(path), str(path)).run.seed)
        except DMNetError:
            continue  # of another version of the code: that run is no table's, whatever its seed
    return max(seeds) + 1


def _candidates(root: Path) -> Iterator[Unneeded]:
    for kind in paths.OF_WEIGHTS:
        keys = {path.name for path in (root / kind).glob("*") if path.is_dir()}
        keys |= {path.name.split(".")[0] for path in (root / kind).glob("*.dvc")}
        for key in sorted(key for key in keys if KEY.fullmatch(key)):
            if kind == paths.RUNS and is_training(key, root):
                continue
            own = sorted((root / kind).glob(f"{key}.*dvc"))  # the run's entry and its evaluations'
            logs = (root / paths.log(paths.trained(key, kind))).parent
            times = (root / paths.benchmark(key)).parent
            yield _entry(root / paths.run(key, kind), *own, logs, times)
    for path in sorted(root.glob(paths.prediction("*", "*"))):
        if path.parent.is_symlink() or not KEY.fullmatch(path.parent.name):
            continue  # a link leads to files that are none of this tree's
        yield _entry(path, path.with_suffix(""), *_beside(path, root))
    for pattern in (paths.count("*"), paths.speed("*")):
        for path in sorted(root.glob(pattern)):
            yield _entry(path, *_beside(path, root))


def _beside(path: Path, root: Path) -> tuple[Path, Path]:
    """DVC's entry of a result, and the log of its job."""
    result = path.relative_to(root).as_posix()
    return root / paths.entry(result), root / paths.log(result)


def _entry(path: Path, *also: Path) -> Unneeded:
    here = tuple(other for other in also if other.exists())
    return Unneeded(path, here, sum(_size(other) for other in (path, *here)))


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


@contextmanager
def _not_training(path: Path, root: Path) -> Iterator[bool]:
    """Hold the run's lock, so that no training begins meanwhile; False if one runs already."""
    if path.parent != root / paths.RUNS:
        yield True
        return
    lock = root / paths.lock(path.name)
    with open_lock(lock) as stream:
        if not try_lock(stream, lock):
            yield False
            return
        yield True
    lock.unlink(missing_ok=True)
