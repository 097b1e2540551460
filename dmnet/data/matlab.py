"""Labels in MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dmnet.data.guarded import UnreadableError, shared
from dmnet.errors import DataError


def read_matrix(
    path: Path,
    archive: str,
    variable: str,
    field: str | None = None,
) -> npt.NDArray[Any] | None:
    """A matrix of real numbers (height, width) in a MATLAB 5 file, or in a field of its struct.

    None where the file has no such matrix. Decoded in a process of its own: the parser crashes on
    files that were made for it. Raises DataError, which names the archive that the file came from,
    when it cannot be read.
    """
    try:
        answer, content = shared().ask("matrix", path, variable=variable, field=field)
    except UnreadableError as error:
        raise DataError(
            f"{path.name}: {error}; the archive {archive} is damaged, download it again"
        ) from error
    if "dtype" not in answer:
        return None
    return np.frombuffer(content, answer["dtype"]).reshape(answer["shape"])
