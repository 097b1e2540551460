"""Has DVC store every finished result that took work; git keeps a small file beside it.

What the entries look like: `dvc_entries`. An entry is written with the files' names, then DVC
stores the files and adds their md5s.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import write_text
from pipeline import paths
from pipeline.dvc.command import dvc
from pipeline.dvc.entries import (
    DvcEntry,
    cached,
    is_cached,
    may_name,
    md5_of,
    names_only,
    read_entry,
    without_md5s,
)
from pipeline.dvc.guard import check_links
from pipeline.dvc.shareable import why_not_shared
from pipeline.errors import RecordError
from pipeline.inspection.verify.whole import damage


@dataclass(frozen=True)
class Tracked:
    """What recording gave: one line for people, and an error for each result that is left out."""

    line: str
    problems: tuple[DMNetError, ...] = ()


def track(keys: set[str], root: Path = Path(".")) -> Tracked:
    """Have DVC store these runs if finished, and all measurements; none that is damaged.

    A run of which only the results were pulled is left alone: its entry would lose the weights.
    So is what is damaged, or is not what its entry says: that is named, all else is stored.
    """
    if reason := why_not_shared(root):
        return Tracked(f"DVC: left out: {reason}; then `python -m pipeline record`")
    finished = [
        paths.run(key, kind)
        for kind in paths.OF_WEIGHTS
        for key in sorted(keys)
        if (root / paths.trained(key, kind)).exists()
    ]
    whole = [run for run in finished if (root / run / paths.WEIGHTS).exists()]
    tracked = {
        f"{run}.dvc": [f"{run}/{n}" for n in paths.SHARED_OF_RUN if (root / run / n).exists()]
        for run in whole
    }
    tracked |= _results([f"{run}/{paths.EVALUATIONS}/*.json" for run in finished], root)
    predictions = [paths.prediction(key, "*") for key in sorted(keys)]
    beside = _results([*predictions, paths.count("*"), paths.speed("*")], root)
    partial = len(finished) - len(whole)
    aside = f" ({partial} without weights left as they are)" if partial else ""
    tracked |= beside
    if not whole and not beside:
        return Tracked(f"DVC: no finished run to track{aside}")
    changed, again, problems = _changed(tracked, root)
    try:
        store(changed, root)
    except RecordError as error:
        return Tracked(f"DVC: nothing newly tracked{aside}", (*problems.values(), error))
    runs = [run for run in whole if f"{run}.dvc" not in problems]
    also = [path for path in beside if path not in problems]
    also_told = f" and {len(also)} predictions and measurements" if also else ""
    if again:
        aside += f"; made again, so that the entry is another: {', '.join(again)}"
    kinds = [kind for kind in paths.SHARED if any((root / kind).glob("*.dvc"))] or [paths.RUNS]
    patterns = " ".join(f"{kind}/*.dvc" for kind in kinds)  # what `git add` takes
    line = (
        f"DVC: {len(runs)} runs{also_told} tracked{aside}; `git add {patterns}` "
        "and `python -m pipeline push` share them"
    )
    return Tracked(line, tuple(problems.values()))


def _results(patterns: list[str], root: Path) -> dict[str, list[str]]:
    """Entry -> a result, and the folder of label maps that goes with a manifest of predictions."""
    outputs = {}
    for path in (path for pattern in patterns for path in sorted(root.glob(pattern))):
        result, folder = path.relative_to(root).as_posix(), path.with_suffix("")
        outputs[paths.entry(result)] = [result]
        if result.startswith(paths.PREDICTIONS) and folder.is_dir():
            outputs[paths.entry(result)].append(folder.relative_to(root).as_posix())
    return outputs


def _changed(
    tracked: dict[str, list[str]], root: Path
) -> tuple[dict[str, list[str]], list[str], dict[str, DMNetError]]:
    """What DVC is to store, which of it has an entry that says otherwise, and what is left out."""
    changed: dict[str, list[str]] = {}
    again: list[str] = []
    problems: dict[str, DMNetError] = {}
    for path, outs in tracked.items():
        try:
            may_name(path)
            check_links(DvcEntry(path, dict.fromkeys(outs, "")), root)
            there = (root / path).exists() and not names_only(path, root)
            recorded = read_entry(path, root) if there else None
            found = {out: md5_of(root / out) for out in outs}
            same = recorded is not None and recorded.outs == found
            if same and all(cached(md5, root).exists() for md5 in found.values()):
                continue
            if not same:
                _refuse_damage(path, outs, recorded, root)
                again += [path] if recorded is not None else []
            changed[path] = outs
        except DMNetError as error:
            problems[path] = error
        except OSError as error:
            reason = f"cannot be read ({error.strerror}); correct that and record again"
            problems[path] = RecordError(f"{error.filename or path}: {reason}")
    return changed, again, problems


def _refuse_damage(path: str, outs: list[str], recorded: DvcEntry | None, root: Path) -> None:
    """Raises RecordError unless the files are whole, and those recorded before, if any, are gone.

    DVC would take whatever lies there, and the entry of what was good would be lost.
    """
    result = path.removesuffix(".dvc")
    if wrong := damage(outs, root):
        raise RecordError(f"{wrong[0]}; {result} is damaged and nothing of it was recorded")
    if recorded is not None and all(is_cached(md5, root) for md5 in recorded.outs.values()):
        others = {*recorded.outs.items()} ^ {(out, md5_of(root / out)) for out in outs}
        names = [name.rpartition("/")[2] for name in sorted({name for name, _ in others})]
        raise RecordError(
            f"{result}: not what {path} recorded ({', '.join(names)}), so nothing "
            "of it was recorded; `python -m pipeline verify --repair` brings what is recorded "
            f"back; to share what lies here in its place, delete {path} and record again"
        )


def store(changed: dict[str, list[str]], root: Path) -> None:
    """Let DVC store these outs. An entry without md5s, from an interrupted job, counts as none.

    Raises RecordError, the entries as they were; also if DVC stored anything but what lay here.
    """
    if not changed:
        return
    before = {path: (root / path).read_text() for path in changed if (root / path).exists()}
    expected = {path: {out: md5_of(root / out) for out in outs} for path, outs in changed.items()}
    try:
        for path, outs in changed.items():
            write_text(root / path, without_md5s(outs))
        # Not relinked: that would give files, which are right as they are, new times.
        command = ["commit", "--force", "--no-relink", *changed]
        dvc(command, root, "`python -m pipeline record` to try again")
        for path, digests in expected.items():
            if read_entry(path, root).outs != digests:
                raise RecordError(f"{path}: its files changed while DVC stored them; record again")
    except DMNetError:
        for path in changed:
            if path in before:
                write_text(root / path, before[path])
            else:
                (root / path).unlink(missing_ok=True)
        raise
