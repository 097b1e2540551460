"""A mark for each workflow, from its first job until `record` is done: none stays unrecorded.

Where nothing is left to do, Snakemake calls nothing of ours. So a workflow that was killed while it
recorded would stay unrecorded, and the same command would say that all is done.
"""

from __future__ import annotations

from pathlib import Path

from pipeline import paths


def command_of(options: str) -> str:
    return f"python -m pipeline record {options}"


def mark(options: str, root: Path = Path(".")) -> None:
    """options: the scale, as `python -m pipeline` takes it. Raises OSError."""
    path = _path(options, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def unmark(options: str, root: Path = Path(".")) -> None:
    _path(options, root).unlink(missing_ok=True)


def is_marked(options: str, root: Path = Path(".")) -> bool:
    return _path(options, root).exists()


def _path(options: str, root: Path) -> Path:
    words = options.replace("--", "").replace("/", "_").split()
    return root / paths.STATE / f"{'-'.join(words)}.unrecorded"
