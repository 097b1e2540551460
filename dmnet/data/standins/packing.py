"""Archives of generated files: equal contents give equal bytes.

Every member has the same time, owner and mode, and a zip stores PNG and JPEG as they are.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from dmnet.files import atomic_write

Add = Callable[[str, bytes], None]  # a member's name and content

_MTIME = 1305072000  # 11 May 2011, for every member of a tar
_ZIP_TIME = (2011, 5, 11, 0, 0, 0)
_ZIP_MODE = 0o100644 << 16
_MAT_HEADER = b"MATLAB 5.0 MAT-file, procedural stand-in"


@contextmanager
def tar_archive(path: Path, packed: bool = False) -> Iterator[Add]:
    """Write a tar, gzipped if `packed`; it takes its name when the block succeeds."""
    with ExitStack() as stack:
        stream: BinaryIO | gzip.GzipFile = stack.enter_context(atomic_write(path))
        if packed:
            stream = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=_MTIME)
            stack.enter_context(stream)
        tar = stack.enter_context(tarfile.open(fileobj=stream, mode="w"))

        def add(name: str, content: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), _MTIME
            tar.addfile(member, io.BytesIO(content))

        yield add


@contextmanager
def zip_archive(path: Path) -> Iterator[Add]:
    """Write a zip, not compressed; it takes its name when the block succeeds."""
    with atomic_write(path) as stream, zipfile.ZipFile(stream, "w") as packed:

        def add(name: str, content: bytes) -> None:
            member = zipfile.ZipInfo(name, _ZIP_TIME)
            member.external_attr, member.create_system = _ZIP_MODE, 3
            packed.writestr(member, content)

        yield add


def encode(image: Image.Image, file_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def jpeg(photograph: npt.NDArray[np.uint8], mode: str | None = None) -> bytes:
    """A JPEG of `mode`; left out, it is grayscale where all pixels are gray, else RGB."""
    image = Image.fromarray(photograph)
    if mode is None:
        gray = bool((photograph == photograph[..., :1]).all())
        mode = "L" if gray else image.mode
    return encode(image.convert(mode) if mode != image.mode else image, "JPEG", quality=92)


def png(array: npt.NDArray[np.integer]) -> bytes:
    """A PNG of 8 or 16 bits, gray or colour as the array's shape says."""
    return encode(Image.fromarray(array), "PNG")


def lines(ids: Iterable[str]) -> bytes:
    return "".join(f"{sample}\n" for sample in ids).encode()


def fixed_mat_header(content: bytes) -> bytes:
    """A MATLAB 5 file without the time of its writing: its first 116 bytes are free text."""
    return _MAT_HEADER.ljust(116) + content[116:]
