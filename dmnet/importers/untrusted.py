"""Reads other people's checkpoint files as data: nothing that they name is ever called.

Beside tensors, real checkpoints pickle metadata: mmengine's files hold `HistoryBuffer`s with NumPy
arrays, and those refer to `getattr`. PyTorch's restricted reader refuses a file for each such name.
Here the known names are answered by a stand-in that takes anything and keeps nothing, never by what
they name, so that the tensors beside them can be read; every other name is still refused.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from dmnet.errors import CheckpointError
from dmnet.weights import MAX_BYTES, why_unreadable


class Discarded:
    """In the place of metadata: made of any arguments, given any state, holding nothing."""

    def __new__(cls, *arguments: object) -> Discarded:
        return super().__new__(cls)

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def plain_dict(*arguments: object) -> dict[Any, Any]:
    """In the place of a defaultdict, whose items are pickled one by one after it."""
    return {}


# What files of mmengine 0.10 (message hub) and mmcv 1 (hook messages) refer to. NumPy pickles under
# its old or its new module name, whichever version wrote the file.
METADATA = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",  # how pickle writes a buffer's methods; the name, never the function
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
    "builtins.list",
    "builtins.dict",
)
STAND_INS: list[Any] = [
    *((Discarded, name) for name in METADATA),
    (plain_dict, "collections.defaultdict"),
]

_ASKED_FOR = re.compile(r"GLOBAL ([\w.]+)")


def read_checkpoint(content: bytes, path: Path) -> Any:
    """What a checkpoint file's bytes hold, on the CPU: tensors, plain values, and stand-ins.

    Reads PyTorch's formats from 1.0 on. Raises CheckpointError, naming `path`, for a cut file,
    another format, one that unpacks to more than MAX_BYTES bytes, and a pickle that asks for
    anything but known metadata.
    """
    if (unpacked := _unpacked_size(content)) > MAX_BYTES:
        raise CheckpointError(
            f"{path}: unpacks to {unpacked} bytes, expected at most {MAX_BYTES}; nothing of it "
            "was read; get the published file"
        )
    try:
        with torch.serialization.safe_globals(STAND_INS):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle cut or forged at any byte raises anything
        if asked := _ASKED_FOR.search(str(error)):
            raise CheckpointError(
                f"{path}: its pickle asks for `{asked[1]}`, which is no known metadata of a "
                "checkpoint; nothing of it was run; get the published file"
            ) from error
        raise CheckpointError(
            f"{path}: not a checkpoint, or cut short ({why_unreadable(error)}); get the file again"
        ) from error


def _unpacked_size(content: bytes) -> int:
    """Bytes of all that is in a zip, as PyTorch's files are since 1.6; of another file, its own.

    PyTorch stores without compressing but reads compressed members too.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return sum(member.file_size for member in packed.infolist())
    except Exception:  # PyTorch says what is wrong with a file that is no zip
        return len(content)
