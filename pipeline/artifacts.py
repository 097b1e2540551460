"""DVC: every result that took work is tracked by a small file beside it, which git takes.

    runs/<key>.dvc   released/<key>.dvc   predictions/<key>.dvc    one entry per run, of its folder
    counts/<key>.json.dvc   speed/<key>.json.dvc                   one per measurement

The only contact with DVC, by its command line. Everything goes in one call: calls side by side
would fight for DVC's lock.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import read_json
from pipeline.dvc_entries import (
    FILES,
    FOLDERS,
    cached,
    entries,
    file_md5,
    folder_files,
    folder_md5,
    listing,
    mark_pulled,
    measurements,
    read_entry,
)
from pipeline.errors import RecordError

PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s]*@")  # of a remote's address
# What a report needs of a run; the weights are by far the largest of what else there is.
RESULTS = {
    "runs": ("config.json", "train.json", "finished.json", "history.jsonl", "evaluations"),
    "released": ("config.json", "train.json", "evaluations"),
}


def track(keys: set[str], root: Path = Path(".")) -> str:
    """`dvc add` the finished ones of these runs, and all measurements; returns one line.

    A run of which only the results were pulled is left alone: its entry would lose the weights.
    Raises RecordError.
    """
    folders = [f"{kind}/{key}" for kind in RESULTS for key in sorted(keys)]
    finished = [path for path in folders if (root / path / "train.json").exists()]
    whole = [path for path in finished if _has_weights(root / path)]
    partial = len(finished) - len(whole)
    predicted = [f"predictions/{key}" for key in sorted(keys)]
    beside = [path for path in predicted if any((root / path).glob("*.json"))]
    beside += [path for path in measurements(root) if (root / path).exists()]
    aside = f" ({partial} without weights left as they are)" if partial else ""
    if not whole and not beside:
        return f"DVC: no finished run to track{aside}"
    changed = [path for path in (*whole, *beside) if not _is_tracked(root, path)]
    if changed:
        _dvc(["add", "--quiet", *changed], root, "`python -m pipeline record` to try again")
    also = f" and {len(beside)} predictions and measurements" if beside else ""
    return (
        f"DVC: {len(whole)} runs{also} tracked{aside}; `git add {' '.join(_patterns(root))}` "
        "and `dvc push` share them"
    )


def pull(keys: Iterable[str] | None = None, results: bool = False, root: Path = Path(".")) -> str:
    """Bring the shared results (all entries, or those of `keys`) here; returns one line.

    results: without weights. Raises RecordError. What was pulled gets the times of a run that was
    made here, so that Snakemake finds every result newer than what it rests on.
    """
    asked = None if keys is None else set(keys)
    wanted = [
        path
        for path in entries(root)
        if asked is None or Path(path).name.removesuffix(".json") in asked
    ]
    if not wanted:
        return "DVC: no shared run; `git pull` brings the entries runs/*.dvc of others"
    again = "`python -m pipeline pull` to go on"
    runs = [path for path in wanted if path.split("/")[0] in RESULTS]
    new = [path for path in runs if not (root / path / "train.json").exists()]
    before = {path: _names(root / path) for path in wanted}
    _fetch(wanted, new, results, root, again)
    damaged = [name for path in wanted for name in _drop_damaged(root, path, before[path])]
    for path in new:
        if (root / path / "train.json").exists():
            mark_pulled(path, root)
    for path in runs:
        _order_times(root / path)
    for path in wanted:
        if path.startswith("predictions/"):  # newer than the weights that made them
            for manifest in (root / path).glob("*.json"):
                os.utime(manifest)
    if damaged:
        raise RecordError(
            f"{', '.join(damaged)}: came damaged from the DVC remote (not of the md5 that the "
            "entry names) and removed again; delete that object in the remote and `dvc push` from "
            "a clone that has it, or let Snakemake make it again"
        )
    absent = [path for path in new if not (root / path / "train.json").exists()]
    absent += [path for path in wanted if path not in runs and not (root / path).exists()]
    if absent:
        raise RecordError(
            f"{', '.join(absent)}: did not come, though DVC reports no error; give {again}, or let "
            "Snakemake make it again"
        )
    what = "results (no weights)" if results else "runs"
    beside = (
        f" and {len(wanted) - len(runs)} predictions and measurements" if runs != wanted else ""
    )
    return f"DVC: {len(runs)} {what}{beside} are here; nothing of them is trained or measured again"


def _fetch(wanted: list[str], new: list[str], results: bool, root: Path, again: str) -> None:
    """DVC 3.67 leaves out some of several targets of different kinds: one call for each kind."""
    for kind in dict.fromkeys(path.split("/")[0] for path in wanted):
        if results and kind in RESULTS:
            made = [path for path in new if path.startswith(f"{kind}/")]
            targets = [f"{path}/{name}" for path in made for name in RESULTS[kind]]
        else:
            targets = [f"{path}.dvc" for path in wanted if path.startswith(f"{kind}/")]
        if targets:
            _dvc(["pull", "--quiet", *targets], root, again)


def _names(here: Path) -> set[str]:
    if here.is_dir():
        return {path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()}
    return {""} if here.exists() else set()


def _drop_damaged(root: Path, path: str, before: set[str]) -> list[str]:
    """Remove what came and is not what the entry names, here and in the cache; its paths.

    DVC itself believes a remote unless the remote's option `verify` is set.
    """
    entry, here, dropped = read_entry(root / f"{path}.dvc"), root / path, []
    expected = listing(entry.md5, root) if entry.md5.endswith(".dir") else {"": entry.md5}
    for name in sorted(_names(here) - before):
        file = here / name if name else here
        if expected is None:  # the list itself did not come whole
            wrong = True
        else:
            wrong = expected.get(name) != file_md5(file)
            if wrong and name in expected:
                cached(expected[name], root).unlink(missing_ok=True)
        if wrong:
            file.unlink()
            dropped.append(f"{path}/{name}" if name else path)
    if expected is None:
        cached(entry.md5, root).unlink(missing_ok=True)
    return dropped


def _has_weights(folder: Path) -> bool:
    try:
        name = Path(str(read_json(folder / "train.json")["weights"]["file"])).name
    except (DMNetError, KeyError, TypeError):
        return False
    return (folder / name).exists()


def _is_tracked(root: Path, path: str) -> bool:
    """Whether the entry already names what lies there; DVC itself takes long to find that out."""
    entry, here = root / f"{path}.dvc", root / path
    try:
        if not entry.exists():
            return False
        md5 = folder_md5(folder_files(here)) if here.is_dir() else file_md5(here)
        return read_entry(entry).md5 == md5
    except (RecordError, OSError):
        return False


def _patterns(root: Path) -> list[str]:
    """What `git add` takes: the entries of every kind that there is."""
    kinds = (*FOLDERS, *FILES)
    return [f"{kind}/*.dvc" for kind in kinds if any((root / kind).glob("*.dvc"))] or ["runs/*.dvc"]


def _order_times(folder: Path) -> None:
    """Configuration, manifest, evaluations: in the order in which the rules make them."""
    now = time.time()
    order = ["config.json", "train.json", *(p.name for p in folder.glob("evaluations/*.json"))]
    for index, name in enumerate(order):
        path = folder / name if index < 2 else folder / "evaluations" / name
        if path.exists():
            moment = now - (len(order) - index) * 0.01
            os.utime(path, (moment, moment))


def _dvc(arguments: list[str], root: Path, again: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        printed = (result.stderr or result.stdout).splitlines()
        lines = [line for line in printed if line.strip()]
        reason = PASSWORD.sub(r"\1***@", lines[0]) if lines else f"exit {result.returncode}"
        raise RecordError(f"dvc {arguments[0]}: {reason}; the runs are unharmed, give {again}")
