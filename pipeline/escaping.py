"""Makes text from files safe to show: in a terminal, on one line, in Markdown.

Somebody else may have written what a result, a log or a label says. Each of these functions takes
any text and returns one without markup or control characters; the page's templates escape HTML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dmnet.text import visible

LINE = 500  # characters that a reason may have; the log has all of it
# The last line: what GitHub turns into a link, a mention or a formula.
_MARKDOWN = re.compile(
    r"[\\`*\[\]<>&|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
    r"|:(?=//)|(?<=www)\.|@(?=\w)|\$",
    re.IGNORECASE,
)
_NO_WORDS = re.compile(r"[^\w .,;:'\"/=()$-]")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def one_line(text: object, most: int = LINE) -> str:
    """Visible, without line breaks and tabs, and cut after `most` characters."""
    line = visible(" ".join(str(text)[: 4 * most].split()))
    return line if len(line) <= most else f"{line[:most]}..."


def few(names: Sequence[str], most: int) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def words(text: object) -> str:
    """Only what has no meaning in Markdown, HTML or a terminal; all else is left out."""
    return _NO_WORDS.sub(" ", str(text))[:300]


def markdown(text: object) -> str:
    """Plain text in a paragraph or a table's cell: no markup, link, image, HTML or new cell."""
    return _MARKDOWN.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), one_line(text))


def code(text: object) -> str:
    """A code span with this text; what would end the span or the table's cell is replaced."""
    return "`" + one_line(text).translate({ord("`"): "'", ord("|"): "/"}) + "`"
