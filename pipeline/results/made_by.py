"""Which code trained, evaluated, counted and timed what a report holds, and where that differs.

A run is never refused for it: its attempts may have had different code because a mistake was mended
on the way. But no report, `verify` or `status` passes over it.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline import paths
from pipeline.escaping import words
from pipeline.experiments.cells import MeasuredCell
from pipeline.results.cells import CellResult
from pipeline.results.schemas import Code, Made, MadeBy, MeasuredBy


def reported(code: Code | None) -> MadeBy:
    """What a report says of it: the commit, and `modified`, `diff_sha256` or `reason` where there
    is one. Results from before it was recorded have None."""
    if code is None or code.commit is None:
        reason = words(code.reason) if code is not None and code.reason else None
        return MadeBy(commit=None, modified=None, reason=reason)
    diff = code.diff_sha256 if code.modified else None
    return MadeBy(commit=code.commit, modified=code.modified, diff_sha256=diff)


def commit_text(code: MadeBy) -> str:
    """In Markdown."""
    if code.commit is None:
        return f"unknown ({code.reason or 'not a git checkout'})"
    text = f"`{code.commit[:12]}`"
    if code.modified:
        digest = code.diff_sha256
        text += " with uncommitted changes" + (f" (SHA-256 `{digest[:12]}`)" if digest else "")
    return text


def trained_by(results: Iterable[CellResult]) -> list[MadeBy]:
    """Of all attempts at the runs; not the commit that the report is written at."""
    return _sorted(
        reported(code) for result in results for run in result.runs for code in run.trained.codes
    )


def measured_by(results: Iterable[CellResult]) -> list[MeasuredBy]:
    """What evaluated, counted or timed; none where that is nothing new, as
    every run was evaluated by the code that trained it.

    An evaluation names the last commit that changed dmnet/, a training the one that it ran at.
    """
    results = list(results)
    everywhere = [code for result in results for run in result.runs for code in run.trained.codes]
    cells: dict[MadeBy, list[str]] = {}
    news = False
    for result in results:
        # What is no news: its own run's code; of counts and speeds, any run's.
        made = [(run.metrics.code, run.trained.codes) for run in result.measured]
        made += [(content.code, everywhere) for _, content in _untrained(result)]
        for code, trained in made:
            if code is None:  # earlier evaluations and counts say nothing
                continue
            news |= is_news(code, trained)
            named = cells.setdefault(reported(code), [])
            if result.cell.id not in named:
                named.append(result.cell.id)
    if not news:
        return []
    return [MeasuredBy(**dict(code), cells=cells[code]) for code in _sorted(cells)]


def is_news(code: Code, trained: Iterable[Code | None]) -> bool:
    """Whether the code that measured is none of those that trained, by the files' content (the
    commit, of records without); files that were changed and not committed, which no training had,
    are news by themselves."""
    others = [other for other in trained if other and (other.modified or not code.modified)]
    return not any(
        code.sha256 == other.sha256
        if other.sha256
        else code.commit is not None and code.commit == other.commit
        for other in others
    )


def code_notes(results: Iterable[CellResult]) -> list[str]:
    """A line for every run and measurement of more than one code, in Markdown."""
    made: list[tuple[str, Made]] = []
    for result in results:
        for run in result.measured:
            made += [(run.evaluation.trained, run.trained), (run.evaluation.path, run.metrics)]
        made += _untrained(result)
    return notes_of(made)


def notes_of(made: Iterable[tuple[str, Made]]) -> list[str]:
    """The same of files: path and content."""
    marks = dict.fromkeys(line for path, content in made for line in code_marks(path, content))
    return [f"**More than one code:** {line}" for line in marks]


def code_marks(path: str, made: Made) -> list[str]:
    """One line if what `path` holds was made by code that changed on the way; else none."""
    codes = made.codes
    parent, _, name = path.rpartition("/")
    # From `finished.json` a train.json would be written anew.
    beside = f"{parent}/{paths.FINISHED}, and " if name == paths.TRAINED else ""
    again = f"delete {path} and {beside}run again to have it by one code"
    hashes = {code and code.sha256 for code in codes}
    if len(codes) > 1 and (None in hashes or len(hashes) > 1):
        parts = [
            f"iterations {attempt.begin} to {attempt.end} by "
            + (commit_text(reported(attempt.code)) if attempt.code else "unrecorded code")
            for attempt in made.attempts
        ]
        return [f"{path}: its attempts had different code ({', '.join(parts)}); {again}"]
    if any(code and code.changed for code in codes):
        return [f"{path}: files of dmnet/ changed while it was made; {again}"]
    return []


def _untrained(result: CellResult) -> list[tuple[str, Made]]:
    """A count or a speed: path and content."""
    if not isinstance(result.cell, MeasuredCell) or result.measurement is None:
        return []
    return [(result.cell.job.path, result.measurement)]


def _sorted(codes: Iterable[MadeBy]) -> list[MadeBy]:
    """Each once."""
    return sorted(set(codes), key=lambda code: str(tuple(code.model_dump().values())))
