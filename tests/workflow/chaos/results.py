"""A finished clone beside one that was left alone: bytes, leftovers, records."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from dmnet.files import sha256_file
from tests.workflow.conftest import Clone

COMPARED = ("data", "runs", "reports", "predictions", "counts", "speed", "released")
# Of a train.json: how long it took, and how often it was begun anew (looked at by itself).
OF_THE_ATTEMPT = ("seconds", "attempts")


def differing(clone: Clone, reference: Clone) -> list[str]:
    """Result files with other bytes, those missing, and those that only an interruption leaves."""
    ours, theirs = _files(clone.path), _files(reference.path)
    found = [f"{path}: missing" for path in sorted(theirs - ours)]
    found += [f"{path}: left over" for path in sorted(ours - theirs)]
    for path in sorted(ours & theirs):
        one, other = clone.path / path, reference.path / path
        if one.name in ("train.json", "finished.json"):
            found += [f"{path}: {what}" for what in _manifests(one, other)]
        elif one.suffix != ".dvc" and sha256_file(one) != sha256_file(other):
            found.append(f"{path}: other bytes")
    return found


def _files(root: Path) -> set[str]:
    found = {
        path.relative_to(root).as_posix()
        for folder in COMPARED
        for path in (root / folder).rglob("*")
        if path.is_file() and path.suffix != ".dvc" and ".locks" not in path.parts
    }
    # A failed job leaves partial tables; a whole one takes the place of its own only.
    found -= {
        name
        for name in found
        if name.startswith("reports/partial/") and not (root / "reports" / Path(name).name).exists()
    }
    marks = root.glob("logs/**/*.failed.json")
    return found | {path.relative_to(root).as_posix() for path in marks}


def _manifests(one: Path, other: Path) -> list[str]:
    ours, theirs = json.loads(one.read_text()), json.loads(other.read_text())
    found = [
        f"{name}: {ours.get(name)!r}, not {theirs.get(name)!r}"
        for name in sorted({*ours, *theirs} - {*OF_THE_ATTEMPT})
        if ours.get(name) != theirs.get(name)
    ]
    (whole,), iterations = theirs["attempts"], theirs["iterations"]
    at = 0
    for attempt in ours["attempts"]:
        if attempt["from"] != at or {**attempt, "from": 0, "to": iterations} != whole:
            found.append(f"attempts: {attempt} after iteration {at}")
        at = attempt["to"]
    return found if at == iterations else [*found, f"attempts end at {at} of {iterations}"]


def left_behind(clone: Clone) -> list[str]:
    """Unfinished files anywhere, records that are still owed, and locks that say they are held."""
    found = [
        f"{path.relative_to(clone.path)}: left over"
        for path in clone.path.rglob("*")
        if path.is_file()
        and (
            path.suffix in (".tmp", ".unrecorded")
            or ".snakemake/incomplete/" in path.as_posix()
            or _of_dvc(path)
        )
    ]
    held = clone.path / ".dvc" / "tmp" / "rwlock"
    if held.exists() and any(json.loads(held.read_text() or "{}").values()):
        found.append(f".dvc/tmp/rwlock: {held.read_text()}")
    return found


def left_in_tmpdir(clone: Clone) -> list[str]:
    """What is no cache of PyTorch's, which the next process uses again; without random ends."""
    names = sorted(path.name for path in (clone.path.parent / "tmp").iterdir())
    return [re.split(r"[-_]", name)[0] for name in names if not name.startswith("torchinductor_")]


def _of_dvc(path: Path) -> bool:
    """An object of DVC's cache that is not under its hash."""
    _, cache, name = path.as_posix().partition("/.dvc/cache/files/md5/")
    return bool(cache) and len(name.replace("/", "").removesuffix(".dir")) != 32


def not_recorded(clone: Clone, reference: Clone) -> list[str]:
    """What DVC and MLflow have otherwise than after an undisturbed workflow."""
    entries, expected = _entries(clone.path), _entries(reference.path)
    found = [f"{path}: no such entry" for path in sorted(expected - entries)]
    found += [f"{path}: an entry too many" for path in sorted(entries - expected)]
    told, wanted = mlflow(clone.path), mlflow(reference.path)
    for key in sorted({*told, *wanted}):
        ours, theirs = told.get(key, []), wanted.get(key, [])
        if ours != theirs:
            found.append(f"MLflow, run {key}: {_first_difference(ours, theirs)}")
    return found


def _entries(root: Path) -> set[str]:
    return {path.name for path in (root / "runs").glob("*.dvc")}


def _first_difference(ours: list[Any], theirs: list[Any]) -> str:
    if len(ours) != len(theirs):
        return f"{len(ours)} times, not {len(theirs)}"
    for one, other in zip(ours, theirs, strict=True):
        for name in one:
            if one[name] != other[name]:
                return f"{name}: {sorted({*one[name]} ^ {*other[name]})[:4]}"
    return "in another order"


def mlflow(root: Path) -> dict[str, list[dict[str, Any]]]:
    """key -> each of its runs in the store: status, parameters, curves, artifacts by name."""
    path = root / "mlflow.db"
    if not path.exists():
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    with closing(sqlite3.connect(path)) as store:
        (whole,) = store.execute("PRAGMA integrity_check").fetchone()
        assert whole == "ok", f"{path}: {whole}"
        runs = (
            "SELECT run_uuid, tags.value, status, artifact_uri "
            "FROM runs JOIN tags USING (run_uuid) "
            "WHERE tags.key = 'dmnet.key' AND lifecycle_stage = 'active'"
        )
        for run, key, status, place in store.execute(runs).fetchall():
            artifacts = root / "mlartifacts" / "/".join(place.split("/")[-2:])
            found.setdefault(key, []).append(
                {
                    "status": [status],
                    "parameters": _rows(store, "key, value FROM params", run),
                    "curves": [
                        row
                        for row in _rows(store, "key, step, value FROM metrics", run)
                        if not row[0].startswith("system/")  # times and memory of this attempt
                    ],
                    "artifacts": [
                        path.relative_to(artifacts).as_posix()
                        for path in sorted(artifacts.rglob("*"))
                    ],
                }
            )
    return found


def _rows(store: sqlite3.Connection, what: str, run: str) -> list[Any]:
    return sorted(store.execute(f"SELECT {what} WHERE run_uuid = ?", (run,)).fetchall())
