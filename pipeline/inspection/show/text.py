"""Lines of a name and its value, and the values that a file may lack."""

from __future__ import annotations

from pathlib import Path

from dmnet.text import printable
from pipeline.results.schemas import Code

UNKNOWN = "not recorded"

Lines = list[tuple[str, str]]  # (what, its value)


def block(title: str, lines: Lines) -> str:
    """A title and its lines, the values below each other."""
    width = max(len(name) for name, _ in lines)
    return "\n".join([title, *(f"  {name:<{width}}  {value}".rstrip() for name, value in lines)])


def file_here(path: str, root: Path) -> str:
    """The path, and whether the file is not there (yet)."""
    return path if (root / path).exists() else f"{path} (not here)"


def code_text(code: Code | None) -> str:
    """The commit, and whether its files had been changed."""
    if code is None or code.commit is None:
        reason = code and code.reason
        return f"unknown commit ({printable(reason) if reason else 'not a git checkout'})"
    changes = {None: "uncommitted changes unknown", True: "with uncommitted changes"}
    changes[False] = "no uncommitted changes"
    suffix = f" (SHA-256 {code.diff_sha256})" if code.diff_sha256 else ""
    suffix += "; files changed while it ran" if code.changed else ""
    return f"commit {code.commit}, {changes[code.modified]}{suffix}"


def measured_by(code: Code | None) -> Lines:
    """Not recorded by earlier versions."""
    return [] if code is None else [("measured by", code_text(code))]
