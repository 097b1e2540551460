"""Whether DVC and git can take this tree's results, told from the tree alone, before any work."""

from __future__ import annotations

from configparser import ConfigParser
from configparser import Error as ConfigFileError
from pathlib import Path

from pipeline.dvc_entries import FILES, FOLDERS


def why_not_shared(root: Path = Path(".")) -> str | None:
    """The reason, with its remedy, why DVC and git cannot take the results; None if they can."""
    here = root.resolve()
    in_git = any((folder / ".git").exists() for folder in (here, *here.parents))
    if not in_git and not _works_without_git(root):
        return (
            f"{here} is no git repository, which DVC needs; `git init`, or tell DVC by "
            "`dvc config --local core.no_scm true`"
        )
    linked = [kind for kind in (*FOLDERS, *FILES) if (root / kind).is_symlink()]
    if linked:
        names, them = ", ".join(linked), "a link" if len(linked) == 1 else "links"
        return (
            f"{names}: {them}, and git and DVC take nothing beyond a link; mount the other disk "
            "there instead (`mount --bind`)"
        )
    return None


def _works_without_git(root: Path) -> bool:
    config = ConfigParser(interpolation=None, strict=False)
    try:
        config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
        return config.getboolean("core", "no_scm", fallback=False)
    except (ConfigFileError, OSError, ValueError):
        return False  # DVC says what is wrong with it
