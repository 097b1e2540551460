"""Files that are either whole or absent: temporary name, fsync, rename; and their SHA-256."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from dmnet.errors import RunError

TEMPORARY = ".tmp"
# What a JSON file may be: it may come from a colleague. The largest of ours, lists of thousands of
# predicted images, have below 1 MB.
MAX_BYTES = 2**24
MAX_DEPTH = 40  # of lists and objects within each other; ours have 8
MAX_INTEGER = 2**63


@contextmanager
def atomic_write(path: Path, size: int | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success it takes the name `path`, else it is removed.

    size: in bytes, where it is known before; for the error on a full disk.
    Raises RunError, naming the path, when the folder is read-only or the disk is full.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY
        )
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp gives 0600; a result must be as readable as any other new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        if temporary is not None:  # before the free space is looked at
            Path(temporary).unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); "
            f"{_space(path.parent, size) if full else ''}"
            "free space or make the folder writable, then run the same command again"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def remove_unfinished(folder: Path, *names: str) -> None:
    """Remove what a killed `atomic_write` left of these files of `folder` (`*`: of all).

    Only for a caller that knows that nobody writes them now.
    """
    for name in names:
        for temporary in folder.glob(f".{name}.*{TEMPORARY}"):
            temporary.unlink(missing_ok=True)


def _space(folder: Path, size: int | None) -> str:
    """For an error on a full disk; a quota may allow less than what the file system has free."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    needed = "" if size is None else f"{size / 1e6:.1f} MB needed, "
    return f"{needed}{shutil.disk_usage(there).free / 1e6:.1f} MB free on this disk; "


def write_bytes(path: Path, content: bytes) -> None:
    """Raises RunError; on a full disk it names the space that is needed."""
    with atomic_write(path, len(content)) as stream:
        stream.write(content)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def to_json(value: Any) -> str:
    """JSON with sorted keys and fixed layout: equal values give equal bytes."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    write_text(path, to_json(value))


def read_json(path: Path) -> Any:
    """Raises RunError if the file is missing, too large, or not what `parse_json` takes."""
    try:
        return parse_json(read_bounded(path, MAX_BYTES))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise RunError(f"{path}: not valid JSON ({error}); delete it and run again") from error


def read_bounded(path: Path, most: int) -> bytes:
    """All of a plain file of at most `most` bytes.

    Raises OSError, also for what is no plain file, and ValueError for a larger one or a name that
    no file can have.
    """
    with open_plain(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most} bytes")
    return content


def open_plain(path: Path) -> BufferedReader:
    """A plain file, to be read: the one way to open what somebody else may have put there.

    Reading a pipe or a device might wait for ever, or never end. Raises OSError, for those too, and
    ValueError for a name that no file can have.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no plain file", str(path))
    return os.fdopen(descriptor, "rb")


def parse_json(text: str | bytes) -> Any:
    """A JSON value in UTF-8, whose numbers are finite and whose text can be written again.

    Raises ValueError for anything else: NaN and infinity (which JSON does not have), numbers beyond
    64 bits, half a surrogate pair, and more than MAX_DEPTH lists and objects within each other.
    """
    try:
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text, parse_constant=_no_constant
        )
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    _check_bounds(value)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _check_bounds(value: Any) -> None:
    """Level by level, so that no nesting is too deep to be looked at. Raises ValueError."""
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict | list):
                if depth == MAX_DEPTH:
                    raise ValueError(f"nested deeper than {MAX_DEPTH}")
                below += item
                below += item.values() if isinstance(item, dict) else ()
            elif isinstance(item, str):
                if not item.isascii():
                    item.encode()  # UnicodeEncodeError is a ValueError
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError("a number that is not finite")
            elif isinstance(item, int) and abs(item) > MAX_INTEGER:
                raise ValueError("a number beyond 64 bits")
        level, depth = below, depth + 1


def sha256_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Raises OSError, also for what is no plain file, and ValueError as `open_plain`."""
    with open_plain(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_name(name: object) -> bool:
    """Whether it is the name of a file in a folder, and of none outside of it."""
    return (
        isinstance(name, str)
        and name.isprintable()
        and not {"/", "\\"} & {*name}
        and name not in ("", ".", "..")
    )


def user_path(text: str) -> Path:
    """A path that a user gave; `~` is the home folder, also where no shell replaced it."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # of a user who has none, or a name that merely begins so
        return Path(text)
