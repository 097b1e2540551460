"""Whether DVC and git can take this tree's results, told from the tree alone, before any work."""

from __future__ import annotations

from configparser import ConfigParser
from configparser import Error as ConfigFileError
from pathlib import Path

from pipeline import paths


def why_not_shared(root: Path = Path(".")) -> str | None:
    """The reason, with its remedy, why DVC and git cannot take the results; None if they can."""
    here = root.resolve()
    in_git = any((folder / ".git").exists() for folder in (here, *here.parents))
    if not in_git and not _works_without_git(root):
        return (
            f"{here} is no git repository, which DVC needs; `git init`, or tell DVC by "
            "`dvc config --local core.no_scm true`"
        )
    links = [kind for kind in paths.SHARED if (root / kind).is_symlink()]
    return behind_a_link(*links) if links else None


def behind_a_link(*paths: str) -> str:
    """Why DVC is given nothing there, and what to do instead."""
    return (
        f"{', '.join(paths)}: {'a link' if len(paths) == 1 else 'links'}, behind which DVC neither "
        "stores nor brings anything, as it leads out of the tree; put the whole clone on the other "
        "disk, or mount the folder here (`mount --bind`), or remove the link if you did not make it"
    )


def _works_without_git(root: Path) -> bool:
    config = ConfigParser(interpolation=None, strict=False)
    try:
        config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
        return config.getboolean("core", "no_scm", fallback=False)
    except (ConfigFileError, OSError, ValueError):
        return False  # DVC says what is wrong with it
