"""Published files in `weights/`, verified before they are used.

Training and importing only `require` what they read; `python -m dmnet fetch` fetches (`fetching`).
So a job on a cluster's node without a network never waits for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dmnet.config import PublishedFile
from dmnet.errors import CheckpointError
from dmnet.files import sha256_file
from dmnet.text import reason


@dataclass(frozen=True)
class Found:
    """A file in its place: which publication it is, and whether a published hash says so."""

    path: Path
    sha256: str
    published: PublishedFile
    verified: bool  # False: nobody published a hash, so its origin is unproven


def require(files: Sequence[PublishedFile], folder: Path, what: str) -> Found:
    """The first of `files` that lies in `folder`, verified; nothing is downloaded.

    what: it in words, for the error. Raises CheckpointError when none is there, or when the one
    there has another hash.
    """
    for file in files:
        if (folder / file.file).exists():
            return identify(folder / file.file, file, files)
    raise CheckpointError(
        f"{folder / files[0].file}: {what} missing; download {files[0].urls[0]} to this place, or "
        "give the same --config to `python -m dmnet fetch` (without a network: --mirror DIR)"
    )


def identify(path: Path, named: PublishedFile, files: Sequence[PublishedFile]) -> Found:
    """Which of `files` the file at `path` is, by its hash; it is called as `named` is.

    Publications of one checkpoint differ in their files, so that any of their hashes is accepted;
    any other raises CheckpointError. Where none is published, the name has to do.
    """
    try:
        digest = sha256_file(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: cannot be read ({reason(error)}); download {named.urls[0]} again"
        ) from error
    for file in files:
        if file.sha256_prefix is not None and digest.startswith(file.sha256_prefix):
            return Found(path, digest, file, verified=True)
    if named.sha256_prefix is None:
        return Found(path, digest, named, verified=False)
    raise CheckpointError(
        f"{path}: SHA-256 {digest[:16]}... does not start with {named.sha256_prefix}; "
        f"delete it and download {named.urls[0]} again"
    )
