"""`verify --repair`: replaces damaged files by the recorded copies, from cache or remote."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import atomic_write, open_plain, sha256_file
from pipeline import paths
from pipeline.dvc.command import dvc
from pipeline.dvc.entries import DvcEntry, cached, file_md5, is_cached
from pipeline.dvc.guard import check_tree
from pipeline.dvc.lists import bring_lists
from pipeline.errors import RecordError
from pipeline.inspection.verify.whole import damage
from pipeline.results.files import read_result_file
from pipeline.results.run_status import is_training
from pipeline.results.schemas import Weights

AGAIN = "`python -m pipeline verify --repair` again"


def repair(root: Path = Path(".")) -> list[str]:
    """Put the recorded copy in the place of every damaged file; returns a line for each.

    A copy is taken only if it has the md5 of its entry and, of a run, the SHA-256 of the recorded
    train.json. A missing file is no damage (`pull` brings it), nor is a run that was
    trained again: it is whole, so it stays. Raises RecordError where DVC must not be asked.
    """
    entries = [e for e in check_tree(root) if not (e.is_run and is_training(e.key, root))]
    lines = [line for entry in entries for line in _clean_cache(entry, root)]
    for entry in entries:
        try:
            lines += _repair(entry, root)
        except (DMNetError, OSError) as error:
            lines.append(f"{entry.path}: not repaired ({error})")
    return lines


def _clean_cache(entry: DvcEntry, root: Path) -> list[str]:
    """Remove damaged objects of DVC's cache, or replace them where the file here is whole."""
    lines = []
    for md5 in sorted({*entry.outs.values(), *filter(None, entry.files(root).values())}):
        path = cached(md5, root)
        if path.exists() and not is_cached(md5, root):
            path.unlink()
            lines.append(f"{path}: was damaged and is removed")
            named = (name for name, digest in entry.files(root).items() if digest == md5)
            if whole := next((name for name in named if _md5_here(root / name) == md5), None):
                _copy(root / whole, path, md5)
                lines[-1] = f"{path}: was damaged and is again what {whole} is"
    return lines


def _repair(entry: DvcEntry, root: Path) -> list[str]:
    damaged = {
        path: md5
        for path, md5 in entry.files(root).items()
        if md5 and os.path.lexists(root / path) and _md5_here(root / path) != md5
    }
    if not damaged:
        return []
    if entry.is_run and not damage([*entry.outs], root):
        return [
            f"{entry.path}: names another training than lies here, which is whole and stays; to "
            f"have the recorded one, remove {entry.path.removesuffix('.dvc')}/ and give `python "
            f"-m pipeline pull`; to share this one, delete {entry.path} and give `python -m "
            "pipeline record`"
        ]
    bring_lists([entry], root, AGAIN)
    needed = {*damaged.values(), *(entry.outs.values() if entry.is_run else ())}
    if not all(is_cached(md5, root) for md5 in needed):
        try:
            dvc(["fetch", entry.path], root, AGAIN)
        except RecordError:
            if not all(is_cached(md5, root) for md5 in damaged.values()):
                raise
    if entry.is_run:
        _check_recorded(entry, root)
    lines = []
    for path, md5 in damaged.items():
        _copy(cached(md5, root), root / path, md5)
        lines.append(f"{path}: the recorded copy is back")
    return lines


def _md5_here(path: Path) -> str | None:
    try:
        return file_md5(path)
    except OSError:
        return None


def _check_recorded(entry: DvcEntry, root: Path) -> None:
    """Raises RecordError if damage was recorded: weights that its own train.json does not name."""
    run = entry.path.removesuffix(".dvc")
    recorded = {Path(out).name: cached(md5, root) for out, md5 in entry.outs.items()}
    if paths.TRAINED not in recorded:
        return
    trained = read_result_file(recorded[paths.TRAINED], Weights)
    for named in filter(None, (trained.weights, trained.history)):
        copy = recorded.get(named.file)
        if copy is not None and copy.exists() and sha256_file(copy) != named.sha256:
            raise RecordError(
                f"it was recorded when {run}/{named.file} was damaged already; `git log -p -- "
                f"{entry.path}` shows earlier entries: take one back and give {AGAIN}, or delete "
                f"{run}/ and its entries and train it again"
            )


def _copy(source: Path, target: Path, md5: str) -> None:
    """Raises RecordError, and leaves no file, unless the copy has this md5."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        if target.is_symlink():  # to DVC's cache: a file of its own takes its place
            target.unlink()
        with open_plain(source) as stream, atomic_write(target) as copy:
            while block := stream.read(2**20):
                digest.update(block)
                copy.write(block)
            if digest.hexdigest() != md5.removesuffix(".dir"):
                raise RecordError(f"{source}: changed while it was read; give {AGAIN}")
    except OSError as error:
        raise RecordError(
            f"{target}: no whole copy in DVC's cache or remote ({error.strerror})"
        ) from error
