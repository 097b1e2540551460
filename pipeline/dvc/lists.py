"""Fetches DVC's lists of folders from the remote, and checks them before DVC follows them.

A list names files with their md5s, and DVC takes both for paths: that of a stranger can write
anywhere. No command of DVC brings a list without what it names, so its remote is asked here, in a
process of its own: `python -m pipeline.dvc.lists MD5.dir...` in the root of a clone.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import write_bytes
from pipeline.dvc.entries import LARGEST_LIST, MD5, DvcEntry, cached, listing, parse_listing


def bring_lists(wanted: list[DvcEntry], root: Path, again: str) -> set[str]:
    """Bring the lists of these entries' folders into the cache; returns those that did not come.

    Raises RecordError for a list that leaves its folder, and when the remote cannot be asked.
    """
    from pipeline.dvc.command import run

    lists = sorted({md5 for e in wanted for md5 in e.outs.values() if md5.endswith(".dir")})
    lacking = [md5 for md5 in lists if listing(md5, root) is None]
    if lacking:
        command = [sys.executable, "-m", "pipeline.dvc.lists", *lacking]
        run(command, root, "dvc pull", again)
    return {md5 for md5 in lacking if listing(md5, root) is None}


def _fetch(lists: list[str]) -> None:
    """From the default remote to the cache; what is absent or damaged there is left out."""
    from dvc.repo import Repo

    with Repo(".") as repo:
        remote = repo.cloud.get_remote_odb(hash_name="md5")
        for md5 in lists:
            try:
                with remote.fs.open(remote.oid_to_path(md5), "rb") as stream:
                    content = stream.read(LARGEST_LIST + 1)
            except FileNotFoundError:
                continue
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            if f"{digest}.dir" == md5 and len(content) <= LARGEST_LIST:
                parse_listing(content, md5)
                cached(md5).unlink(missing_ok=True)
                write_bytes(cached(md5), content)


def main(lists: list[str]) -> int:
    try:
        _fetch([md5 for md5 in lists if MD5.fullmatch(md5)])
    except Exception as error:  # whatever DVC and the remote's own library raise, too
        name = "" if isinstance(error, DMNetError) else f"{type(error).__name__}: "
        print(f"ERROR: {name}{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
