"""Text from files where it is shown: in a terminal, on one line, in Markdown.

What a result, a log or a label says was written by somebody else. Each of these takes any text and
gives one that means only itself where it stands; HTML is escaped by the page's templates.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO, cast

# Control characters but for tab and line feed, what turns the direction of writing around or has
# no width, and halves of surrogate pairs.
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"
)
LINE = 500  # characters that a reason may have; the log has all of it
_MARKDOWN = re.compile(r"[\\`*\[\]<>&|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_NO_WORDS = re.compile(r"[^\w .,;:'\"/=()$-]")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def visible(text: str) -> str:
    """Control characters as their escapes, so that a terminal prints them and obeys none."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: object, most: int = LINE) -> str:
    """Visible, without line breaks and tabs, and cut after `most` characters."""
    line = visible(" ".join(str(text)[: 4 * most].split()))
    return line if len(line) <= most else f"{line[:most]}..."


def words(text: object) -> str:
    """What means only itself in Markdown, HTML and a terminal alike, as all else is left out."""
    return _NO_WORDS.sub(" ", str(text))[:300]


def markdown(text: object) -> str:
    """Plain text in a paragraph or a table's cell: no markup, link, image, HTML or new cell."""
    return _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), one_line(text))


def code(text: object) -> str:
    """A code span with this text; what would end the span or the table's cell is replaced."""
    return "`" + one_line(text).translate({ord("`"): "'", ord("|"): "/"}) + "`"


@contextmanager
def all_visible() -> Iterator[None]:
    """Whatever is printed meanwhile is, wherever it came from: a terminal obeys none of it."""
    out, error = (cast(TextIO, _Visible(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(error):
        yield


class _Visible:
    """A stream for people, in front of one that may be a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(visible(text))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
