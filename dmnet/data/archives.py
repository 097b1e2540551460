"""Archives that a user obtained: found, hashed and unpacked, never trusted.

Unpacking happens in one hidden folder beside the result, which takes its name when it is complete:

    data/<name>/
    ├── .unpacking/     removed at the end, also after an error; a killed run's is removed first
    └── <result>/       everything or nothing
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from dmnet.config import ArchiveConfig, DatasetConfig
from dmnet.data.lists import list_text
from dmnet.errors import DataError
from dmnet.text import reason

Wanted = Callable[[PurePosixPath], bool]  # is this member of an archive used?

_UNPACKING = ".unpacking"
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


def extract_tar(archive: Path, target: Path, wanted: Wanted) -> None:
    """Unpack the wanted files of a tar into `target`; DataError if it is unsafe or truncated."""
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if _leaves(path):
                    raise _unsafe(archive, member.name)
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
                    shutil.copyfileobj(content, output)
            # tarfile takes the end of a file cut between two members for the end of the archive.
            stream = tar.fileobj
            assert stream is not None
            stream.seek(tar.offset)
            if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise tarfile.ReadError("no end-of-archive mark")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _truncated(archive, "tar", error) from error


def extract_zip(archive: Path, target: Path, wanted: Wanted) -> None:
    """Unpack the wanted files of a zip into `target`; DataError if it is unsafe or truncated."""
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                path = PurePosixPath(member.filename)
                if _leaves(path):
                    raise _unsafe(archive, member.filename)
                if member.is_dir() or not wanted(path):
                    continue
                # The upper half is the Unix mode, where the archiver stored one.
                if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                    raise _unsafe(archive, member.filename)
                packed.extract(member, target)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        ValueError,
        RuntimeError,  # encrypted, or a compression that zipfile does not know
    ) as error:
        raise _truncated(archive, "zip", error) from error
    except OSError as error:
        # zipfile seeks wherever a damaged directory points; other errors are the disk's.
        if error.errno != errno.EINVAL:
            raise
        raise _truncated(archive, "zip", error) from error


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
        f"{archive}: truncated or not a {kind} archive ({error}); delete it and download it again"
    )


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()
