"""Labels in MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import scipy.io

from dmnet.errors import DataError


def load_variable(path: Path, name: str, archive: str) -> Any:
    """The variable `name` of a MATLAB 5 file, None where it has none.

    Raises DataError, which names the archive that the file came from, when it cannot be read.
    """
    try:
        content = scipy.io.loadmat(str(path), variable_names=[name])
    # The parser raises errors of any type for a damaged file.
    except Exception as error:
        raise DataError(
            f"{path.name}: not a readable MATLAB 5 file ({error}); "
            f"the archive {archive} is damaged, download it again"
        ) from error
    return content.get(name)
