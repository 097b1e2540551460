"""Lines of a name and its value, and the values that a file may lack."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dmnet.text import printable

UNKNOWN = "not recorded"

Lines = list[tuple[str, str]]  # (what, its value)


def block(title: str, lines: Iterable[tuple[str, str]]) -> str:
    """A title and its lines, the values below each other."""
    lines = list(lines)
    width = max(len(name) for name, _ in lines)
    return "\n".join([title, *(f"  {name:<{width}}  {value}".rstrip() for name, value in lines)])


def file_here(path: str, root: Path) -> str:
    """The path, and whether the file is not there (yet)."""
    return path if (root / path).exists() else f"{path} (not here)"


def entry_at(content: Any, *keys: str) -> Any:
    """The entry at this path, or None where the file does not have it."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def recorded(value: Any) -> str:
    return UNKNOWN if value is None else str(value)


def code_text(made: Any) -> str:
    """By which commit what `made` describes was made, and whether its files had been changed."""
    commit, modified = entry_at(made, "code", "commit"), entry_at(made, "code", "modified")
    if commit is None:
        reason = entry_at(made, "code", "reason")
        return f"unknown commit ({printable(str(reason)) if reason else 'not a git checkout'})"
    changes = {True: "with uncommitted changes", False: "no uncommitted changes"}
    digest = entry_at(made, "code", "diff_sha256")
    suffix = f" (SHA-256 {digest})" if digest else ""
    suffix += "; files changed while it ran" if entry_at(made, "code", "changed") else ""
    return f"commit {commit}, {changes.get(modified, 'uncommitted changes unknown')}{suffix}"
