"""Image and label files as arrays, lists as text, or a DataError that names the file.

Images and labels are decoded as a whole, so a truncated one is always found here, and none above
the stated sizes. The decoders are trusted not to crash: training and evaluation call this for files
that a preparation accepted and hashed. Before that, call it through `guarded`.
"""

from __future__ import annotations

import codecs
import io
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Literal

import kornia_rs.io
import numpy as np
import numpy.typing as npt
from PIL import Image

from dmnet.errors import DataError
from dmnet.files import open_plain
from dmnet.text import reason

MAX_PIXELS = 2**26  # of one image; as many as 8192 x 8192
MAX_BYTES = 2**28  # of one file

# What Pillow raises for damaged files; the last ones guard against absurd sizes in a header.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
# Above Pillow's own limit, which is higher than ours, it only warns.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
PNG = b"\x89PNG\r\n\x1a\n"
# The mark comes first; UTF-32's begins like UTF-16's, and no editor saves lists in it.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK")
_LABEL_MODES = ("P", "L", "I;16", "I")


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """A JPEG or PNG photograph as uint8 (height, width, 3), RGB.

    Grayscale, palette and CMYK files are converted and transparency is dropped. The EXIF
    orientation is ignored, as in torchvision's datasets: labels are drawn on the stored pixels.

    Raises DataError when the file is missing, damaged, or has more than 8 bits per channel.
    """
    try:
        content = read_content(path, "image")
        pixels = _plain_png(content, colours=3)
        if pixels is not None:
            return pixels
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            _check_size(*image.size)
            raw_mode = _raw_mode(image)
            image.load()
            # Pillow cuts colours of 16 bits down to 8: only their stored form tells.
            if image.mode not in _IMAGE_MODES or "16" in raw_mode:
                raise DataError(
                    f"{path}: image of mode {raw_mode or image.mode}; expected 8 bits per channel "
                    "(grayscale, RGB or CMYK); convert the file"
                )
            return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)
    except UNREADABLE as error:
        raise _damaged(path, "a JPEG or PNG image", error) from error


def read_label(path: Path) -> npt.NDArray[np.integer]:
    """A PNG label map as integer indices (height, width): uint8, or wider for a 16-bit file.

    The stored indices are returned; a palette only colours them for the eye.

    Raises DataError when the file is missing, damaged, or does not hold indices: colours (RGB),
    or grays of less than 8 bits, which PNG decoders stretch to 0..255.
    """
    try:
        content = read_content(path, "label")
        pixels = _plain_png(content, colours=1)
        if pixels is not None:
            return pixels[..., 0]
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            _check_size(*image.size)
            raw_mode = _raw_mode(image)
            image.load()
            if image.mode not in _LABEL_MODES or raw_mode in ("L;2", "L;4"):
                raise DataError(
                    f"{path}: label of mode {raw_mode or image.mode} holds colours or stretched "
                    "grays; expected one class index per pixel, as a palette PNG or a grayscale "
                    "PNG of 8 or 16 bits; convert the file"
                )
            return np.array(image)
    except UNREADABLE as error:
        raise _damaged(path, "a PNG label", error) from error


def _plain_png(content: bytes, colours: Literal[1, 3]) -> npt.NDArray[np.uint8] | None:
    """A grayscale or RGB PNG of 8 bits as (height, width, colours), by a decoder some three times
    as fast as Pillow's, and stricter; None for all other files. Raises ValueError for damage."""
    if len(content) < 26 or content[:8] != PNG or content[12:16] != b"IHDR":
        return None
    width, height, bits, kind = struct.unpack(">IIBB", content[16:26])
    if (bits, kind) != (8, 2 if colours == 3 else 0):
        return None
    _check_size(width, height)
    try:
        mode = "rgb" if colours == 3 else "mono"
        return np.asarray(kornia_rs.io.decode_image_png_u8(content, (height, width), mode))
    except Exception as error:  # nothing narrower is documented
        raise ValueError(reason(error)) from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels, at most {MAX_PIXELS} are decoded")


def _raw_mode(image: Image.Image) -> str:
    """Pillow's name for the stored pixel format; empty when it gives none."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    return arguments if isinstance(arguments, str) else ""


def read_content(path: Path, kind: str) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES.

    kind: `image`, `label`, what the errors call it. Raises DataError.
    """
    try:
        with open_plain(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_BYTES:
                raise DataError(
                    f"{path}: {kind} of {size} bytes, expected at most {MAX_BYTES}; "
                    "restore the file"
                )
            return stream.read()
    except FileNotFoundError:
        raise DataError(
            f"{path}: {kind} is missing; restore it or prepare the dataset again"
        ) from None
    except (OSError, ValueError) as error:
        raise _damaged(path, f"a readable {kind}", error) from error


def list_text(path: Path) -> str:
    """The text of a list in UTF-8, or in what its byte order mark says, without that mark.

    Raises DataError when it cannot be read, and ValueError when it is no text.
    """
    content = read_content(path, "list")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    return content.decode(encoding)


def _damaged(path: Path, expected: str, error: BaseException) -> DataError:
    return DataError(
        f"{path}: cannot be decoded as {expected} ({reason(error)}); restore the file or prepare "
        "the dataset again"
    )
