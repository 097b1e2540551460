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


def needed(presets: Sequence[str], seeds: int | None) -> Needed:
    """presets: all when empty; seeds: as many as the runs here have, when None.

    Raises SpecError or ConfigError when a preset cannot be resolved: then nothing may be deleted.
    """
    names = tuple(presets) or Params(PARAMS).preset_names
    count = seeds or _seeds_found()
    asked: set[str] = set()
    for name in names:
        asked |= _paths(build_experiment(name, count))
        try:
            asked |= _paths(build_experiment(name, count, weights_source="both"))
        except DMNetError:  # checkpoints that know other classes than this preset's data
            continue
    return Needed(frozenset(asked), names, count)


def unneeded(needed: Needed) -> list[Unneeded]:
    """Largest first. A run that is being trained is never among them."""
    found = [entry for entry in _candidates() if entry.path.as_posix() not in needed.paths]
    return sorted(found, key=lambda entry: (-entry.bytes, entry.path))


def delete(entries: Iterable[Unneeded]) -> int:
    """Returns the bytes freed. Raises RecordError when something cannot be removed."""
    freed = 0
    for entry in entries:
        try:
            with _not_training(entry.path) as free:
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


def render_gc(needed: Needed, entries: list[Unneeded]) -> str:
    lines = []
    for entry in entries:
        also = f" (and {', '.join(map(str, entry.also))})" if entry.also else ""
        lines.append(f"{megabytes(entry.bytes):>12}  {entry.path}{also}")
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


def _seeds_found() -> int:
    """One more than the largest seed among the configurations in `runs/`."""
    seeds = [0]
    for path in Path().glob(paths.config("*")):
        try:
            seeds.append(parse(JobConfig, read_json(path), str(path)).run.seed)
        except DMNetError:
            continue  # of another version of the code: that run is no table's, whatever its seed
    return max(seeds) + 1


def _candidates() -> Iterator[Unneeded]:
    for kind in paths.OF_WEIGHTS:
        keys = {path.name for path in Path(kind).glob("*") if path.is_dir()}
        keys |= {path.name.split(".")[0] for path in Path(kind).glob("*.dvc")}
        for key in sorted(key for key in keys if KEY.fullmatch(key)):
            if kind == paths.RUNS and is_training(key):
                continue
            own = sorted(Path(kind).glob(f"{key}.*dvc"))  # the run's entry and its evaluations'
            logs, times = paths.log(paths.trained(key, kind)), paths.benchmark(key)
            yield _entry(Path(paths.run(key, kind)), *own, Path(logs).parent, Path(times).parent)
    for path in sorted(Path().glob(paths.prediction("*", "*"))):
        if path.parent.is_symlink() or not KEY.fullmatch(path.parent.name):
            continue  # a link leads to files that are none of this tree's
        yield _entry(path, path.with_suffix(""), *_beside(path.as_posix()))
    for pattern in (paths.count("*"), paths.speed("*")):
        for path in sorted(Path().glob(pattern)):
            yield _entry(path, *_beside(path.as_posix()))


def _beside(result: str) -> tuple[Path, Path]:
    """DVC's entry of a result, and the log of its job."""
    return Path(paths.entry(result)), Path(paths.log(result))


def _entry(path: Path, *also: Path) -> Unneeded:
    here = tuple(other for other in also if other.exists())
    files = [f for each in (path, *here) for f in (each.rglob("*") if each.is_dir() else [each])]
    return Unneeded(path, here, sum(file.lstat().st_size for file in files if file.is_file()))


@contextmanager
def _not_training(path: Path) -> Iterator[bool]:
    """Hold the run's lock, so that no training begins meanwhile; False if one has."""
    if path.parent != Path(paths.RUNS):
        yield True
        return
    lock = Path(paths.lock(path.name))
    with open_lock(lock) as stream:
        if not try_lock(stream, lock):
            yield False
            return
        yield True
    lock.unlink(missing_ok=True)
