"""Lists as publishers and editors save them."""

from __future__ import annotations

import codecs
from pathlib import Path

from dmnet.data.decode import read_content

# The mark comes first; UTF-32's begins like UTF-16's, and no editor saves lists in it.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def list_text(path: Path) -> str:
    """The text of a list in UTF-8, or in what its byte order mark says, without that mark.

    Raises DataError when it cannot be read, and ValueError when it is no text.
    """
    content = read_content(path, "list")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    return content.decode(encoding)
