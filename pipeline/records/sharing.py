"""To and from DVC's remote: checks everything before DVC follows it, and reports what came."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pipeline import paths
from pipeline.dvc.command import LackingError, dvc
from pipeline.dvc.entries import DvcEntry, cached, file_md5, md5_of
from pipeline.dvc.guard import check_tree
from pipeline.dvc.lists import bring_lists
from pipeline.dvc.shareable import why_not_shared
from pipeline.errors import RecordError
from pipeline.escaping import few
from pipeline.records.artifacts import store

GO_ON = "`python -m pipeline pull` to go on"
PUSH = "`python -m pipeline push` again"
NAMED = 5  # results that one error names


def check(root: Path = Path(".")) -> str:
    """Check all that DVC would follow in this tree, and the remote's lists of folders.

    Returns one line. Raises RecordError: then `dvc pull` must not be given.
    """
    entries = check_tree(root)
    absent = bring_lists(entries, root, "`python -m pipeline check` again")
    if absent:
        names = [e.path for e in entries if absent & {*e.outs.values()}]
        raise RecordError(
            f"{', '.join(names)}: the list of its files is missing or damaged in the DVC remote, "
            "so it cannot be checked; `python -m pipeline pull` brings all else"
        )
    return f"DVC: {len(entries)} entries name files of their own results and nothing else"


def pull(keys: Iterable[str] | None = None, results: bool = False, root: Path = Path(".")) -> str:
    """Bring the shared results (all entries, or those of `keys`) here; returns one line.

    results: without weights. Raises RecordError, with nothing brought, where any entry is not
    one of its own result; what the remote does not have, or has damaged, is named after everything
    else came.
    """
    if reason := why_not_shared(root):
        raise RecordError(f"nothing was pulled: {reason}")
    asked = None if keys is None else set(keys)
    wanted = [entry for entry in check_tree(root) if asked is None or entry.key in asked]
    if not wanted:
        return f"DVC: no shared run; `git pull` brings the entries {paths.RUNS}/*.dvc of others"
    unlisted = bring_lists(wanted, root, GO_ON)
    before = {path for entry in wanted for path in _here(entry, root)}
    known = [entry for entry in wanted if not unlisted & {*entry.outs.values()}]
    lacking = _fetch(known, results, root)
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
        if not (lacking or unlisted):
            reason = "did not come, though DVC reports no error"
        raise RecordError(
            f"{', '.join(absent)}: {reason}; all else is here, and Snakemake makes exactly these "
            "again where a report needs them; to have them instead `dvc push` from a clone that "
            f"does (a damaged object in the remote has to be deleted first), then {GO_ON}"
        )
    runs = [entry for entry in wanted if entry.is_run]
    what = "results (no weights)" if results else "runs"
    rest = [entry for entry in wanted if entry.kind not in paths.OF_WEIGHTS]
    beside = f" and {len(rest)} predictions and measurements" if rest else ""
    return f"DVC: {len(runs)} {what}{beside} are here; nothing of them is trained or measured again"


def _by_kind(wanted: list[DvcEntry]) -> list[list[str]]:
    """DVC 3.67 leaves out some of several targets of different kinds: one call for each kind."""
    kinds = dict.fromkeys(entry.kind for entry in wanted)
    return [[entry.path for entry in wanted if entry.kind == kind] for kind in kinds]


def _fetch(wanted: list[DvcEntry], results: bool, root: Path) -> bool:
    """Fetch all; whether the remote lacked objects. Raises RecordError."""
    lacking = False
    by_path = {entry.path: entry for entry in wanted}
    for group in _by_kind(wanted):
        targets = group
        if results and by_path[group[0]].kind in paths.OF_WEIGHTS:
            targets = [out for path in group for out in _absent(by_path[path], results, root)]
        try:
            if targets:
                dvc(["pull", *targets], root, GO_ON)
        except LackingError:
            lacking = True
    return lacking


def _here(entry: DvcEntry, root: Path) -> list[str]:
    """The files of the entry's outs that are here, whether or not they belong there."""
    present = []
    for path in entry.outs:
        files = (root / path).rglob("*") if (root / path).is_dir() else [root / path]
        present += [file.relative_to(root).as_posix() for file in files if file.is_file()]
    return sorted(present)


def _absent(entry: DvcEntry, results: bool, root: Path) -> list[str]:
    files = [path for path in entry.files(root) if not (root / path).exists()]
    return [path for path in files if not (results and path.endswith(f"/{paths.WEIGHTS}"))]


def _drop_damaged(entry: DvcEntry, before: set[str], root: Path) -> list[str]:
    """Remove what came and is not what the entry names, here and in the cache; returns the paths.

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
        if expected.get(path, "") is None:  # the list of the folder's files is missing or damaged
            cached(md5, root).unlink(missing_ok=True)
    return dropped


def push(root: Path = Path(".")) -> str:
    """Send what the entries name to the DVC remote; returns one line once all of it is there.

    DVC itself says that everything is up to date where its cache, cleaned by another clone or by
    hand, has lost an object. So what lies here and is what its entry names is stored again first,
    and the remote is asked afterwards. Raises RecordError that names what is nowhere.
    """
    entries = check_tree(root)
    if not entries:
        return "DVC: nothing to push; `python -m pipeline record` writes the entries"
    lost = {entry.path: [*entry.outs] for entry in entries if _can_be_stored(entry, root)}
    store(lost, root)
    absent: list[str] = []
    for targets in _by_kind(entries):  # by name: DVC passes in silence over what is ignored
        dvc(["push", *targets], root, PUSH)
        printed = dvc(["status", "--cloud", "--json", *targets], root, PUSH)
        try:
            states: dict[str, str] = json.loads(printed)
        except ValueError as error:
            raise RecordError(f"dvc status: no answer about the remote; give {PUSH}") from error
        absent += sorted(path for path, state in states.items() if state in ("missing", "new"))
    if absent:
        raise RecordError(
            f"{few(absent, NAMED)}: not in the DVC remote, nor in DVC's cache here, "
            f"from which somebody may have removed it (`dvc gc`); all else is pushed; give {PUSH} "
            "in a clone that has the files, or let Snakemake make them again"
        )
    again = f" ({len(lost)} that its cache had lost were stored again)" if lost else ""
    return f"DVC: the remote has all that {len(entries)} entries name{again}"


def _can_be_stored(entry: DvcEntry, root: Path) -> bool:
    """Whether DVC's cache has lost something of it and the files here are what it names."""
    objects = {*entry.outs.values(), *filter(None, entry.files(root).values())}
    if all(cached(md5, root).exists() for md5 in objects):
        return False
    try:
        return all(md5_of(root / out) == md5 for out, md5 in entry.outs.items())
    except OSError:
        return False
