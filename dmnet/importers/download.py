"""One address -> one file, over an unreliable network: resumed, tried again, verified, then named.

<file>             whole, and accepted by its SHA-256
<file>.part        what has arrived so far; the next attempt or process goes on from here
<file>.part.json   the address that it is from, and the server's mark of that version
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests

from dmnet.addresses import masked
from dmnet.errors import CheckpointError, DMNetError, RunError
from dmnet.files import read_json, sha256_file, write_json
from dmnet.text import clock

log = logging.getLogger(__name__)

CHUNK = 2**16  # bytes; what a broken connection may lose
ATTEMPTS = 4  # in a row without progress
BACK_OFF = 2.0  # seconds before the second attempt; doubled before each further one
REPORT_EVERY = 5.0  # seconds between progress lines
TIMEOUT = (15, 60)  # seconds: to connect, and without a byte
MEBIBYTE = 2**20
OK, PARTIAL, RANGE_REFUSED, TOO_MANY, SERVER_ERROR = 200, 206, 416, 429, 500

Accept = Callable[[str], bool]  # is this SHA-256 the published one?


class UnavailableError(DMNetError):
    """An address does not give the file. The message is the reason, without the address."""


class UnreachableError(UnavailableError):
    """Its server did not answer at all: there is no network, or none that leads there."""


class _InterruptedError(Exception):
    """An attempt failed, but the next one may succeed."""


class _NoAnswerError(_InterruptedError):
    """The server could not be reached."""


def download(
    url: str, path: Path, accept: Accept | None, wait: float = BACK_OFF, attempts: int = ATTEMPTS
) -> None:
    """Download `url` (http, https) to `path`.

    accept: judges the SHA-256; None where none is published, then only the length is checked.
    wait: seconds before the second attempt.
    Raises UnavailableError when the server does not give it (UnreachableError when it does not
    answer), CheckpointError when it gives another
    file (which is removed), RunError when it cannot be written (what has arrived stays).
    """
    part = _Part(path, url, hashed=accept is not None)
    for last in (False, True):
        _fetch_whole(part, wait, attempts)
        with _writing(path):
            digest = sha256_file(part.path)
        if accept is None or accept(digest):
            with _writing(path):
                with part.path.open("rb") as stream:
                    os.fsync(stream.fileno())
                os.replace(part.path, path)
                part.note.unlink(missing_ok=True)
            return
        continued = part.continued
        part.discard()
        if last or not continued:
            break
        log.warning("%s: wrong SHA-256 after it was continued; once more from the start", path)
    raise CheckpointError(
        f"{path}: {url} gave another file (SHA-256 {digest[:16]}...); it was removed; get the "
        "published one elsewhere and put it to this place"
    )


class _Part:
    """The file `.part` and the note beside it."""

    def __init__(self, path: Path, url: str, hashed: bool) -> None:
        self.target, self.url, self.hashed = path, url, hashed
        self.path = path.with_name(f"{path.name}.part")
        self.note = path.with_name(f"{path.name}.part.json")
        self.continued = False  # were bytes of several answers put together?

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def mark(self) -> str | None:
        """The server's mark of the version that the part is of, if it is from this address."""
        try:
            note = read_json(self.note)
            return str(note["mark"]) if note["url"] == self.url and note["mark"] else None
        except (DMNetError, KeyError, TypeError):
            return None

    def resumable(self) -> bool:
        """Only a mark or a published hash tells that the rest belongs to the same file."""
        return self.size > 0 and (self.hashed or self.mark() is not None)

    def begin(self, mark: str | None) -> None:
        """Start anew, before the first byte of an answer."""
        with _writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self.discard()
        write_json(self.note, {"url": self.url, "mark": mark})

    def discard(self) -> None:
        with _writing(self.path):
            self.path.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)
        self.continued = False


def _fetch_whole(part: _Part, wait: float, attempts: int) -> None:
    """Ask until the part is the whole file. Raises UnavailableError, RunError."""
    failures = 0
    while True:
        before = part.size
        try:
            _ask(part)
            return
        except _InterruptedError as error:
            failures = 1 if part.size > before else failures + 1
            if failures >= attempts:
                kind = UnreachableError if isinstance(error, _NoAnswerError) else UnavailableError
                raise kind(f"{error}, {failures} times in a row") from error
            pause = wait * 2 ** (failures - 1)
            log.warning("%s: %s; again in %.0f s", part.target.name, error, pause)
            time.sleep(pause)


def _ask(part: _Part) -> None:
    """One request. Raises _InterruptedError if another may help, UnavailableError if none will."""
    start = part.size if part.resumable() else 0
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if (mark := part.mark()) is not None:
            headers["If-Range"] = mark
    with (
        _network(part.url),
        requests.get(part.url, headers=headers, stream=True, timeout=TIMEOUT) as response,
    ):
        status = response.status_code
        if status == RANGE_REFUSED:
            whole = response.headers.get("Content-Range", "").rpartition("/")[2]  # bytes */N
            if start and whole == str(start):
                return  # it was whole already
            part.discard()
            raise _InterruptedError("what had arrived is no beginning of the server's file")
        if status == TOO_MANY or status >= SERVER_ERROR:
            raise _InterruptedError(f"status {status} ({response.reason})")
        if status not in (OK, PARTIAL):
            raise UnavailableError(f"status {status} ({response.reason})")
        if status == PARTIAL and start:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                part.discard()
                raise _InterruptedError("the server sent another part than the one asked for")
            part.continued = True
            log.info("%s: going on at %.1f MiB", part.target.name, start / MEBIBYTE)
        else:
            start = 0
            part.begin(_mark(response))
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        _receive(part, response, start, total)


def _receive(part: _Part, response: requests.Response, start: int, total: int | None) -> None:
    size, began = start, time.monotonic()
    reported = began
    with _writing(part.path), part.path.open("ab") as stream:
        for chunk in response.iter_content(CHUNK):
            stream.write(chunk)
            size += len(chunk)
            if (now := time.monotonic()) - reported >= REPORT_EVERY:
                reported = now
                _report(part.target.name, size, total, (size - start) / (now - began))
    if total is not None and size < total:
        raise _InterruptedError(f"the connection ended after {size} of {total} bytes")
    _report(part.target.name, size, total, (size - start) / max(time.monotonic() - began, 1e-9))


def _report(name: str, size: int, total: int | None, rate: float) -> None:
    """rate: bytes per second"""
    have = f"{size / MEBIBYTE:.1f}"
    if total is not None:
        eta = clock((total - size) / max(rate, 1))
        have += f" of {total / MEBIBYTE:.1f} MiB ({100 * size // max(total, 1)} %), ETA {eta}"
    else:
        have += " MiB"
    log.info("%s: %s, %.1f MiB/s", name, have, rate / MEBIBYTE)


def _mark(response: requests.Response) -> str | None:
    """What `If-Range` takes: a strong ETag, or else the date of the last change."""
    tag = response.headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified")


@contextmanager
def _network(url: str) -> Iterator[None]:
    try:
        yield
    except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects) as error:
        raise UnavailableError(masked(str(error))) from error
    except requests.RequestException as error:
        innermost: BaseException = error
        while (below := innermost.__cause__ or innermost.__context__) is not None:
            innermost = below
        reason = getattr(innermost, "strerror", None) or str(innermost) or type(error).__name__
        server = urlsplit(url).netloc.rpartition("@")[2]
        raise _NoAnswerError(f"no answer from {server} ({masked(reason)})") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except requests.RequestException:  # an OSError too, but of the network
        raise
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); free space or make the folder "
            "writable, then run the same command again: it goes on with what has arrived"
        ) from error
