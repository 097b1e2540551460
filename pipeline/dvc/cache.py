"""Where DVC's cache is: its settings `cache.dir` of all four files, read without DVC."""

from __future__ import annotations

import os
import sys
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path

HOLDS = "files/md5"  # of DVC 3, inside its cache


def cache_folder(root: Path = Path(".")) -> Path:
    """The folder of the objects, named by md5: this clone's own, or one that several share.

    The last file that has the setting counts, as with DVC: the system's, the user's, the
    project's, the clone's. A relative path is relative to the folder of its file.
    """
    folder = root / ".dvc" / "cache"
    for file in (*_beyond(), root / ".dvc" / "config", root / ".dvc" / "config.local"):
        config = ConfigParser(interpolation=None, strict=False)
        try:
            config.read(file, encoding="utf-8")
        except (ConfigError, ValueError, OSError):
            continue  # DVC itself says what is wrong with it
        if given := config.get("cache", "dir", fallback=""):
            folder = file.parent / os.path.expanduser(given.strip("\"'"))
    return folder / HOLDS


def _beyond() -> list[Path]:
    """The settings of the machine and of the user."""
    if sys.platform == "darwin":
        system, user = "/Library/Application Support", "~/Library/Application Support"
    else:
        system = os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)[0]
        user = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    folders = (
        os.environ.get("DVC_SYSTEM_CONFIG_DIR") or f"{system}/dvc",
        os.environ.get("DVC_GLOBAL_CONFIG_DIR") or f"{user}/dvc",
    )
    return [Path(folder).expanduser() / "config" for folder in folders]
