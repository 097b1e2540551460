"""Which code trained, evaluated, counted and timed what a report holds, and where it was not one.

A run is never refused for it: its attempts may have had different code because a mistake was mended
on the way. But no report, `verify` or `status` passes over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dmnet.errors import RunError
from pipeline.errors import ResultError
from pipeline.results.of_cells import CellResult, RunResult
from pipeline.results.schemas import Counted, MadeBy, read_result_file
from pipeline.shown import words

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")

Code = dict[str, Any]


def code_entry(code: Any, where: str) -> Code:
    """What a report says of a record of dmnet/checkout.py: `commit`, `modified`, and
    `diff_sha256` or `reason` only where there is one.

    Results from before it was recorded have None. Raises ResultError for what is no record.
    """
    code = {} if code is None else code
    commit = code.get("commit") if isinstance(code, dict) else ""
    if commit is None:
        reason = code.get("reason")
        entry: Code = {"commit": None, "modified": None}
        return entry | ({"reason": words(reason)} if reason else {})
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise ResultError(
            f"{where}: `code` has commit {words(commit)!r}, expected 40 hexadecimal digits; "
            "delete the file and run again"
        )
    modified, diff = code.get("modified"), code.get("diff_sha256")
    entry = {"commit": commit, "modified": modified if modified is None else bool(modified)}
    return entry | ({"diff_sha256": words(diff)} if modified and diff else {})


def commit_text(code: MadeBy) -> str:
    """In Markdown."""
    if code.commit is None:
        return f"unknown ({code.reason or 'not a git checkout'})"
    text = f"`{code.commit[:12]}`"
    if code.modified:
        digest = code.diff_sha256
        text += " with uncommitted changes" + (f" (SHA-256 `{digest[:12]}`)" if digest else "")
    return text


def _text(code: Code) -> str:
    return commit_text(MadeBy.model_validate(code))


def trained_by(results: Iterable[CellResult]) -> list[Code]:
    """Of all attempts at the runs; not the commit that the report is written at."""
    return _sorted(code for result in results for run in result.runs for code in _trainers(run))


def measured_by(results: Iterable[CellResult], root: Path = Path(".")) -> list[Code]:
    """What evaluated, counted or timed, each with its `cells`; none where that is no news: every
    run was evaluated by code that it was trained by.

    An evaluation names the last commit that changed dmnet/, a training the one that it ran at.
    """
    results = list(results)
    runs = [run for result in results for run in result.runs]
    everywhere = [code for run in runs for code in training_code(run.trained)]
    cells: dict[str, list[str]] = {}
    found: list[Code] = []
    news = False
    for result in results:
        for path, record, trained in _measurers(result, everywhere, root):
            news |= is_news(record, trained)
            code = code_entry(record, path)
            found.append(code)
            named = cells.setdefault(str(code), [])
            if result.cell.id not in named:
                named.append(result.cell.id)
    return [{**code, "cells": cells[str(code)]} for code in _sorted(found)] if news else []


def is_news(code: Any, trained: Iterable[Any]) -> bool:
    """Whether the code that measured is none of those that trained, by the files' content (the
    commit, of records without); files that were changed and not committed, which no training had,
    are news by themselves."""
    return not any(_same_code(code, other) for other in trained)


def _same_code(code: Any, other: Any) -> bool:
    name = "sha256" if _at(other, "sha256") else "commit"
    if _at(code, "modified") and not _at(other, "modified"):
        return False
    return _at(code, name) is not None and _at(code, name) == _at(other, name)


def code_notes(results: Iterable[CellResult], root: Path = Path(".")) -> list[str]:
    """A line for every run and measurement of more than one code, in Markdown."""
    found: dict[str, None] = {}
    for result in results:
        for run in result.measured:
            folder = f"{run.evaluation.folder}/{run.evaluation.run_key}"
            found |= dict.fromkeys(code_marks(f"{folder}/train.json", run.trained))
            found |= dict.fromkeys(code_marks(run.evaluation.path, run.metrics))
        for path, content in _others(result, root):
            found |= dict.fromkeys(code_marks(path, content))
    return [f"**More than one code:** {line}" for line in found]


def code_marks(path: str, content: Any) -> list[str]:
    """One line if what `path` holds was made by code that changed on the way; else none."""
    content = content if isinstance(content, dict) else {}
    attempts = content.get("attempts")
    attempts = attempts if isinstance(attempts, list) and attempts else [content]
    codes = [_at(attempt, "code") for attempt in attempts]
    again = f"delete {path} and {_finished(path)}run again to have it by one code"
    hashes = [_at(code, "sha256") for code in codes]
    if len(codes) > 1 and (None in hashes or len(set(map(str, hashes))) > 1):
        parts = [
            f"iterations {words(_at(attempt, 'from'))} to {words(_at(attempt, 'to'))} by "
            + (_text(code_entry(code, path)) if code else "unrecorded code")
            for attempt, code in zip(attempts, codes, strict=True)
        ]
        return [f"{path}: its attempts had different code ({', '.join(parts)}); {again}"]
    if any(_at(code, "changed") for code in codes):
        return [f"{path}: files of dmnet/ changed while it was made; {again}"]
    return []


def _finished(path: str) -> str:
    """Besides train.json, which would be written anew from it."""
    parent, _, name = path.rpartition("/")
    return f"{parent}/finished.json, and " if name == "train.json" else ""


def _trainers(run: RunResult) -> list[Code]:
    where = f"{run.evaluation.folder}/{run.evaluation.run_key}/train.json"
    return [code_entry(code, where) for code in training_code(run.trained)]


def training_code(trained: dict[str, Any]) -> list[Any]:
    """The record of each attempt."""
    attempts = trained.get("attempts")
    attempts = attempts if isinstance(attempts, list) and attempts else [trained]
    return [_at(attempt, "code") for attempt in attempts]


def _measurers(
    result: CellResult, trained: list[Any], root: Path
) -> Iterator[tuple[str, Any, list[Any]]]:
    """(path, what measured, what would be no news: its own run's code, or for counts and speeds
    `trained`, any run's); earlier evaluations and counts say nothing."""
    for run in result.measured:
        if run.metrics.get("code") is not None:
            own = training_code(run.trained) if run in result.runs else []
            yield run.evaluation.path, run.metrics["code"], own
    for path, content in _others(result, root):
        if content.get("code") is not None:
            yield path, content["code"], trained


def _others(result: CellResult, root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Counts and speeds: path and content."""
    cell = result.cell
    if cell.speed is not None and result.speed is not None:
        yield cell.speed.path, result.speed
    if cell.profile is not None and result.profiled is not None:
        try:
            yield cell.profile.path, read_result_file(root / cell.profile.path, Counted)
        except (ResultError, RunError):
            return  # gone since it was read


def _sorted(codes: Iterable[Code]) -> list[Code]:
    """Each once."""
    unique: list[Code] = []
    for code in codes:
        if code not in unique:
            unique.append(code)
    return sorted(unique, key=lambda code: str(tuple(code.values())))


def _at(content: Any, key: str) -> Any:
    return content.get(key) if isinstance(content, dict) else None
