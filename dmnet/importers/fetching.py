"""Published files brought into `weights/`, from their addresses or from a mirror's folder."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dmnet.addresses import place_of
from dmnet.config import PublishedFile
from dmnet.errors import CheckpointError, RunError
from dmnet.files import atomic_write, open_plain, user_path
from dmnet.importers.download import BACK_OFF, UnavailableError, UnreachableError, download
from dmnet.importers.published import Found, identify
from dmnet.lock import run_lock
from dmnet.text import reason

log = logging.getLogger(__name__)

CHUNK = 2**20  # bytes


class NoNetworkError(CheckpointError):
    """No server of a file answers; asking for other files would take as long and end the same."""


def fetch(
    files: Sequence[PublishedFile], folder: Path, mirror: str | None = None, wait: float = BACK_OFF
) -> Found:
    """Bring the first of `files` that can be had into `folder`, verified; one that is there stays.

    mirror: a folder, or its file:// address, that holds the files under their names; then the
    network is left alone. wait: seconds before the second attempt at an address.
    Raises CheckpointError when none can be had (NoNetworkError when nobody answers), RunError
    when `folder` cannot be written. Nothing with a wrong hash is left under a file's name: what
    lay there is renamed to `<file>.wrong`.
    """
    with run_lock(folder / ".locks" / f"{files[0].file}.lock", doing="fetched"):
        for file in files:
            if (identified := _present(file, files, folder)) is not None:
                return identified
        problems: list[CheckpointError] = []
        for file in files:
            path = folder / file.file
            try:
                if mirror is not None:
                    _copy(_mirror_folder(mirror) / file.file, path, file)
                else:
                    _download(file, path, wait)
            except NoNetworkError:
                raise
            except CheckpointError as error:
                if problems:
                    log.warning("%s", error)
                problems.append(error)
                continue
            identified = identify(path, file, files)
            if identified.verified:
                log.info("%s: complete, SHA-256 as published", path)
            else:
                log.warning("%s: complete; no hash is published, so its origin is unproven", path)
            return identified
    raise problems[0]


def _present(file: PublishedFile, files: Sequence[PublishedFile], folder: Path) -> Found | None:
    path = folder / file.file
    if not path.exists():
        return None
    try:
        identified = identify(path, file, files)
    except CheckpointError as error:
        aside = path.with_name(f"{path.name}.wrong")
        try:
            os.replace(path, aside)
        except OSError as problem:
            raise RunError(
                f"{path}: cannot be renamed ({problem.strerror}); make the folder writable"
            ) from problem
        log.warning("%s; it is now called %s", error, aside.name)
        return None
    log.info("%s: already there%s", path, ", SHA-256 as published" if identified.verified else "")
    return identified


def _download(file: PublishedFile, path: Path, wait: float) -> None:
    """From the first of its addresses that gives the file. Raises CheckpointError."""
    prefix = file.sha256_prefix
    accept = None if prefix is None else lambda digest: digest.startswith(prefix)
    reasons, unreachable = [], True
    for url in file.urls:
        try:
            if url.startswith("file:"):
                _copy(_mirror_folder(url), path, file)
            else:
                download(url, path, accept, wait)
            return
        except UnavailableError as error:
            reasons.append(f"{url}: {error}")
            unreachable = unreachable and isinstance(error, UnreachableError)
    kind = NoNetworkError if unreachable else CheckpointError
    raise kind(
        f"{path}: cannot be downloaded ({'; '.join(reasons)}); download it elsewhere and put it to "
        "this place, or give the folder that holds it with --mirror DIR"
    )


def _mirror_folder(mirror: str) -> Path:
    parts = urlsplit(mirror)
    if parts.scheme in ("http", "https"):
        raise CheckpointError(
            f"--mirror {place_of(mirror)}: expected a folder or its file:// address"
        )
    return Path(unquote(parts.path)) if parts.scheme == "file" else user_path(mirror)


def _copy(source: Path, path: Path, file: PublishedFile) -> None:
    """Copy `source` to `path` if the very bytes that are copied have the published hash."""
    try:
        stream = open_plain(source)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{source}: cannot be read ({reason(error)}); put {file.urls[0]} there"
        ) from error
    with stream, atomic_write(path) as target:
        digest = hashlib.sha256()
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
        if not digest.hexdigest().startswith(file.sha256_prefix or ""):
            raise CheckpointError(
                f"{source}: SHA-256 {digest.hexdigest()[:16]}... does not start with "
                f"{file.sha256_prefix}; it was not copied; put {file.urls[0]} there"
            )
