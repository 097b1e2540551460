"""A file that somebody published: what it is called, where it lies, how it is recognised."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from dmnet.addresses import is_public
from dmnet.config.sections import SECRET, Section

FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # a bare name, no folder
SHA256_PREFIX = r"^[0-9a-f]{8,64}$"


def _public(address: str) -> str:
    if not is_public(address):
        raise PydanticCustomError(
            SECRET,
            "everybody sees this address, in git and in every run: it may have no user, password, "
            "token or signature; get the file yourself and put it into weights/ or the sources",
        )
    return address


Address = Annotated[str, AfterValidator(_public)]


class PublishedFile(Section):
    """The hash is what it is; names and places are not."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"file", "urls", "source"})

    file: str = Field(pattern=FILE_NAME)
    urls: tuple[Address, ...] = Field(min_length=1)  # the same bytes, tried in this order
    sha256_prefix: str | None = Field(pattern=SHA256_PREFIX)  # None: nobody published one
    source: str | None = None  # who names this file
