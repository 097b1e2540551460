"""DVC: every result that took work is tracked by a small file beside it, which git takes.

The only contact with DVC, by its command line; what the entries look like: `dvc_entries`. An entry
is written with the files' names, then DVC stores the files and adds their md5s.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from configparser import ConfigParser
from pathlib import Path

from dmnet.files import write_text
from pipeline.dvc_entries import (
    FILES,
    FOLDERS,
    Entry,
    cached,
    entries,
    entry_of,
    file_md5,
    md5_of,
    read_entry,
)
from pipeline.errors import RecordError
from pipeline.passwords import without_secrets
from pipeline.shareable import why_not_shared

# Of a run's folder; its weights are by far the largest, and no report needs them.
WEIGHTS = "weights.pt"
RUN = ("config.json", "finished.json", "history.jsonl", "train.json", WEIGHTS)
TRAINED = ("runs", "released")
GO_ON = "`python -m pipeline pull` to go on"
MISSING = "<https://error.dvc.org/missing-files>"  # how DVC's message on absent objects ends


def track(keys: set[str], root: Path = Path(".")) -> str:
    """Have DVC store the finished ones of these runs and all measurements; returns one line.

    A run of which only the results were pulled is left alone: its entry would lose the weights.
    Raises RecordError.
    """
    if reason := why_not_shared(root):
        return f"DVC: left out: {reason}; then `python -m pipeline record`"
    finished = [
        f"{kind}/{key}"
        for kind in TRAINED
        for key in sorted(keys)
        if (root / kind / key / "train.json").exists()
    ]
    whole = [run for run in finished if (root / run / WEIGHTS).exists()]
    tracked = {f"{run}.dvc": _run_files(run, root) for run in whole}
    for run in finished:
        found = sorted((root / run / "evaluations").glob("*.json"))
        tracked |= {entry_of(path): [path] for path in _relative(found, root)}
    beside = _predictions(keys, root)
    for kind in FILES:
        found = sorted((root / kind).glob("*.json"))
        beside |= {entry_of(path): [path] for path in _relative(found, root)}
    partial = len(finished) - len(whole)
    aside = f" ({partial} without weights left as they are)" if partial else ""
    tracked |= beside
    if not whole and not beside:
        return f"DVC: no finished run to track{aside}"
    _store(
        {path: outs for path, outs in tracked.items() if not _is_tracked(path, outs, root)}, root
    )
    also = f" and {len(beside)} predictions and measurements" if beside else ""
    return (
        f"DVC: {len(whole)} runs{also} tracked{aside}; `git add {' '.join(_patterns(root))}` "
        "and `dvc push` share them"
    )


def _run_files(run: str, root: Path) -> list[str]:
    return [f"{run}/{name}" for name in RUN if (root / run / name).exists()]


def _predictions(keys: set[str], root: Path) -> dict[str, list[str]]:
    """Entry -> its manifest and the folder of label maps that goes with it."""
    found = {}
    for key in sorted(keys):
        for path in _relative(sorted((root / "predictions" / key).glob("*.json")), root):
            folder = path.removesuffix(".json")
            found[entry_of(path)] = [path, folder] if (root / folder).is_dir() else [path]
    return found


def _relative(paths: Iterable[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def _is_tracked(path: str, outs: list[str], root: Path) -> bool:
    """Whether the entry already names what lies there; DVC itself takes long to find that out.

    What was made again as it had been, because the remote had lost it, still is to be stored.
    """
    try:
        if not (root / path).exists():
            return False
        entry = read_entry(path, root)
        if entry.outs != {out: md5_of(root / out) for out in outs}:
            return False
    except (RecordError, OSError):
        return False
    return _cache_is_elsewhere(root) or all(cached(m, root).exists() for m in entry.outs.values())


def _cache_is_elsewhere(root: Path) -> bool:
    """A cache that several clones share (`dvc cache dir`) is not looked into."""
    config = ConfigParser(interpolation=None, strict=False)
    config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
    return config.has_option("cache", "dir")


def _store(changed: dict[str, list[str]], root: Path) -> None:
    """Let DVC store these outs. An entry without md5s, such as a break leaves, is none."""
    if not changed:
        return
    before = {path: _content(root / path) for path in changed}
    for path, outs in changed.items():
        names = [out.split("/", maxsplit=1)[1] for out in outs]
        write_text(root / path, "outs:\n" + "".join(f"- path: {name}\n" for name in names))
    try:
        # Not relinked: that would give files, which are right as they are, new times.
        command = ["commit", "--quiet", "--force", "--no-relink", *changed]
        _dvc(command, root, "`python -m pipeline record` to try again")
    except RecordError:
        for path, content in before.items():
            if content is None:
                (root / path).unlink(missing_ok=True)
            else:
                write_text(root / path, content)
        raise


def _content(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def pull(keys: Iterable[str] | None = None, results: bool = False, root: Path = Path(".")) -> str:
    """Bring the shared results (all entries, or those of `keys`) here; returns one line.

    results: without weights. Raises RecordError; what the remote does not have, or has damaged, is
    named after everything else came.
    """
    if reason := why_not_shared(root):
        raise RecordError(f"nothing was pulled: {reason}")
    asked = None if keys is None else set(keys)
    found = [read_entry(path, root) for path in entries(root)]
    wanted = [entry for entry in found if asked is None or entry.key in asked]
    if not wanted:
        return "DVC: no shared run; `git pull` brings the entries runs/*.dvc of others"
    before = {path for entry in wanted for path in _here(entry, root)}
    lacking = _fetch(wanted, results, root)
    damaged = [path for entry in wanted for path in _drop_damaged(entry, before, root)]
    absent = []
    for entry in wanted:
        if missing := [path for path in _absent(entry, results, root) if path not in damaged]:
            whole = len(missing) == len(entry.files(root))
            absent += [entry.path.removesuffix(".dvc")] if whole else missing
    if damaged:
        also = f"; {', '.join(absent)} did not come either" if absent else ""
        raise RecordError(
            f"{', '.join(damaged)}: came damaged from the DVC remote (not of the md5 that the "
            "entry names) and removed again; delete that object in the remote and `dvc push` from "
            f"a clone that has it, or let Snakemake make it again{also}"
        )
    if absent:
        reason = "missing or damaged in the DVC remote"
        if not lacking:
            reason = "did not come, though DVC reports no error"
        raise RecordError(
            f"{', '.join(absent)}: {reason}; all else is here, and Snakemake makes exactly these "
            "again where a report needs them; to have them instead `dvc push` from a clone that "
            f"does (a damaged object in the remote has to be deleted first), then {GO_ON}"
        )
    runs = [entry for entry in wanted if entry.is_run]
    what = "results (no weights)" if results else "runs"
    rest = [entry for entry in wanted if entry.kind not in TRAINED]
    beside = f" and {len(rest)} predictions and measurements" if rest else ""
    return f"DVC: {len(runs)} {what}{beside} are here; nothing of them is trained or measured again"


def _fetch(wanted: list[Entry], results: bool, root: Path) -> bool:
    """Whether the remote lacks objects; everything else came. Raises RecordError.

    DVC 3.67 leaves out some of several targets of different kinds: one call for each kind.
    """
    lacking = False
    for kind in dict.fromkeys(entry.kind for entry in wanted):
        of_kind = [entry for entry in wanted if entry.kind == kind]
        if results and kind in TRAINED:
            targets = [path for entry in of_kind for path in _absent(entry, results, root)]
        else:
            targets = [entry.path for entry in of_kind]
        try:
            if targets:
                _dvc(["pull", *targets], root, GO_ON)
        except _LackingError:
            lacking = True
    return lacking


def _here(entry: Entry, root: Path) -> list[str]:
    """The files of the entry's outs that are here, whether or not they belong there."""
    found = []
    for path in entry.outs:
        if (root / path).is_dir():
            found += _relative((f for f in (root / path).rglob("*") if f.is_file()), root)
        elif (root / path).exists():
            found.append(path)
    return sorted(found)


def _absent(entry: Entry, results: bool, root: Path) -> list[str]:
    files = [path for path in entry.files(root) if not (root / path).exists()]
    return [path for path in files if not (results and path.endswith(f"/{WEIGHTS}"))]


def _drop_damaged(entry: Entry, before: set[str], root: Path) -> list[str]:
    """Remove what came and is not what the entry names, here and in the cache; its paths.

    DVC itself notices that of a single file, but believes a remote on those of a folder unless the
    remote's option `verify` is set.
    """
    expected, dropped = entry.files(root), []
    for path in _here(entry, root):
        if path in before or expected.get(path) == file_md5(root / path):
            continue
        if (digest := expected.get(path)) is not None:
            cached(digest, root).unlink(missing_ok=True)
        (root / path).unlink()
        dropped.append(path)
    for path, md5 in entry.outs.items():
        if expected.get(path, "") is None:  # the list of a folder itself did not come whole
            cached(md5, root).unlink(missing_ok=True)
    return dropped


def _patterns(root: Path) -> list[str]:
    """What `git add` takes: the entries of every kind that there is."""
    kinds = (*FOLDERS, *FILES)
    return [f"{kind}/*.dvc" for kind in kinds if any((root / kind).glob("*.dvc"))] or ["runs/*.dvc"]


class _LackingError(RecordError):
    """The remote lacks objects; DVC brought all others."""


def _dvc(arguments: list[str], root: Path, again: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        printed = (result.stderr or result.stdout).splitlines()
        lines = [line for line in printed if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        reason = without_secrets(errors[0]) if errors else f"exit {result.returncode}"
        kind = _LackingError if MISSING in result.stderr else RecordError
        raise kind(f"dvc {arguments[0]}: {reason}; the runs are unharmed, give {again}")
