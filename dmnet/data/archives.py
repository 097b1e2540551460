"""Archives that a user obtained: found, hashed and unpacked, never trusted.

Unpacking happens in one hidden folder beside the result, which takes its name when it is complete:

    data/<name>/
    ├── .unpacking/     removed at the end, also after an error; a killed run's is removed first
    └── <result>/       everything or nothing

How much comes out is bounded by stated numbers. Archives are taken apart here, not in a process of
their own (see `guarded`): tarfile and zipfile are Python, the decompressors below them are fed in
small pieces and give bytes only.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from dmnet.config import ArchiveConfig, DatasetConfig
from dmnet.data.decode import list_text
from dmnet.errors import DataError, DMNetError
from dmnet.files import open_plain
from dmnet.text import reason

Wanted = Callable[[PurePosixPath], bool]  # is this member of an archive used?


@dataclass(frozen=True)
class Bounds:
    """How much an archive may hold; far more than the published ones do."""

    unpacked: int  # bytes of all members together
    members: int = 300_000

    def check(self, archive: Path, members: int, unpacked: int) -> None:
        """Raises DataError where it holds more."""
        for found, most, what in (
            (members, self.members, "members"),
            (unpacked, self.unpacked, "bytes unpacked"),
        ):
            if found > most:
                raise DataError(
                    f"{archive}: {found} {what} or more, expected at most {most}; nothing of it is "
                    "used; delete it and download the published archive"
                )


BOUNDS = Bounds(unpacked=8 * 2**30)  # four times the largest but Cityscapes' photographs

_UNPACKING = ".unpacking"
_CHUNK = 2**20  # bytes read at once
_COMPRESSED: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
# Errors that no disk has: the directory points nowhere, or two names cannot both be in one folder.
_ARCHIVE_S_FAULT = (
    errno.EINVAL,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.EILSEQ,
)
_SAMPLE_ID = re.compile(r"[0-9A-Za-z_-]+")


def locate(
    config: DatasetConfig, archives: Path, files: Sequence[str], how: str = "download"
) -> list[Path]:
    """Paths of `files` in the folder `archives`, present and with the MD5 that `config` states.

    Raises DataError; `how` says in its message what one does to get a missing file.
    """
    stated = {archive.file: archive for archive in config.archives}
    wanted = [stated.get(file, ArchiveConfig(file=file, url="")) for file in files]
    missing = [archive for archive in wanted if not (archives / archive.file).is_file()]
    if missing:
        what = " and ".join(
            f"{archive.file} (from {archive.url})" if archive.url else archive.file
            for archive in missing
        )
        raise DataError(f"{config.name}: missing {what}; {how} and put into {archives}/")
    for archive in wanted:
        path = archives / archive.file
        if archive.md5 is not None and (found := _md5(path)) != archive.md5:
            raise DataError(
                f"{path}: MD5 {found}, expected {archive.md5}; "
                f"delete it and download it again from {archive.url}"
            )
    return [archives / archive.file for archive in wanted]


@contextmanager
def unpacking(folder: Path, result: str) -> Iterator[Path]:
    """An empty folder to work in; its `result` moves into `folder` when the block succeeds.

    An earlier result, and what a killed run left, are removed first.
    """
    work = folder / _UNPACKING
    for leftover in (work, folder / result):
        if leftover.exists():
            shutil.rmtree(leftover)
    work.mkdir(parents=True)
    try:
        yield work
        (work / result).rename(folder / result)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def extract_tar(archive: Path, target: Path, wanted: Wanted, bounds: Bounds = BOUNDS) -> None:
    """Unpack the wanted files of a tar into `target`.

    Raises DataError if it is unsafe, truncated, or goes beyond `bounds`.
    """
    with (
        _reading(archive, "tar"),
        _unpacked(archive, bounds) as stream,
        tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:") as tar,
    ):
        total = 0
        for number, member in enumerate(tar, start=1):
            path = PurePosixPath(member.name)
            if _leaves(path):
                raise _unsafe(archive, member.name)
            if member.size < 0:  # from there tarfile would go back, for ever
                raise tarfile.ReadError(f"a member of {member.size} bytes")
            # A sparse file is larger than what is stored of it.
            total += member.size
            bounds.check(archive, number, total)
            if member.isdir() or not wanted(path):
                continue
            if not member.isreg():
                raise _unsafe(archive, member.name)
            # Content only, whatever mode or owner the archive states. TarFile.extract is safe
            # from Python 3.11.4 on, and distributions ship 3.11.2.
            content = tar.extractfile(member)
            assert content is not None  # a regular file's
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with content, file.open("wb") as output:
                shutil.copyfileobj(content, output, _CHUNK)
        # tarfile takes the end of a file cut between two members for the end of the archive.
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("no end-of-archive mark")
        while stream.read(_CHUNK):  # up to the checksum, which stands behind all compressed content
            pass


def extract_zip(archive: Path, target: Path, wanted: Wanted, bounds: Bounds = BOUNDS) -> None:
    """Unpack the wanted files of a zip into `target`.

    Raises DataError if it is unsafe, truncated, or goes beyond `bounds`.
    """
    with (
        _reading(archive, "zip"),
        open_plain(archive) as stream,
        zipfile.ZipFile(stream) as packed,
    ):
        # Of a member, zipfile gives no more than the size that is stated here.
        members = packed.infolist()
        bounds.check(archive, len(members), sum(member.file_size for member in members))
        for member in members:
            path = PurePosixPath(member.filename)
            if _leaves(path):
                raise _unsafe(archive, member.filename)
            if member.is_dir() or not wanted(path):
                continue
            # The upper half is the Unix mode, where the archiver stored one.
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                raise _unsafe(archive, member.filename)
            # The others' decoders give all that a chunk holds at once, however much that is.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile(f"{member.filename} is neither stored nor deflated")
            packed.extract(member, target)


@contextmanager
def _reading(archive: Path, kind: str) -> Iterator[None]:
    """Whatever a damaged or forged archive makes its reader raise is a DataError."""
    try:
        yield
    except DMNetError:
        raise
    except OSError as error:
        # Decompressors' errors have no number.
        if error.errno is not None and error.errno not in _ARCHIVE_S_FAULT:
            raise
        raise _truncated(archive, kind, error) from error
    except Exception as error:
        raise _truncated(archive, kind, error) from error


@contextmanager
def _unpacked(archive: Path, bounds: Bounds) -> Iterator[_Bounded]:
    """The bytes of a tar, which may be compressed."""
    with open_plain(archive) as stream:
        magic = stream.read(6)
        stream.seek(0)
        opened = next((o for mark, o in _COMPRESSED.items() if magic.startswith(mark)), None)
        with opened(stream) if opened is not None else nullcontext(stream) as unpacked:
            yield _Bounded(unpacked, archive, bounds)


class _Bounded:
    """A stream of a tar, with a DataError beyond its bounds, wherever it is read or sought.

    Of a header, tarfile reads at once as much as is stated in it; of a file only chunks.
    """

    def __init__(self, stream: IO[bytes], archive: Path, bounds: Bounds) -> None:
        self._stream, self._archive, self._bounds = stream, archive, bounds

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _CHUNK:  # a negative one is: all there is
            raise tarfile.ReadError(f"a header of {size} bytes")
        content = self._stream.read(size)
        self._bounds.check(self._archive, 0, self.tell())
        return content

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, position: int) -> int:
        self._bounds.check(self._archive, 0, position)  # going there decompresses all before it
        return self._stream.seek(position)


def read_ids(path: Path, archive: str) -> set[str]:
    """The sample IDs of a list that came from `archive`; DataError when one is no plain name."""
    try:
        ids = list_text(path).split()
    except (DataError, ValueError) as error:
        raise DataError(
            f"{archive}: list {path.name} is missing or unreadable ({reason(error)}); "
            "download the published archive"
        ) from error
    for sample in ids:
        if not _SAMPLE_ID.fullmatch(sample):
            raise DataError(
                f"{archive}: {path.name} lists {sample!r}, expected an ID such as 2007_000032; "
                "download the published archive"
            )
    return set(ids)


def check_disjoint(train: set[str], val: set[str], archive: str) -> None:
    if both := sorted(train & val):
        raise DataError(
            f"{archive}: {both[0]} is in train and in val; download the published archive"
        )


def incomplete(archive: str, file: Path) -> DataError:
    return DataError(
        f"{archive}: {file.parent.name}/{file.name} is listed but not in the archive; "
        "download the published archive"
    )


def _leaves(path: PurePosixPath) -> bool:
    return path.is_absolute() or ".." in path.parts


def _unsafe(archive: Path, member: str) -> DataError:
    return DataError(
        f"{archive}: member {member!r} is a link or leaves the archive's folder; nothing of "
        "it is used; delete the archive and download the published one"
    )


def _truncated(archive: Path, kind: str, error: BaseException) -> DataError:
    return DataError(
        f"{archive}: truncated or not a {kind} archive ({reason(error)}); delete it and download "
        "it again"
    )


def _md5(path: Path) -> str:
    with open_plain(path) as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()
