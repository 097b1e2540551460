"""Addresses without their secrets: the server's name, and nothing of the rest.

A password or token stands anywhere in an address: as user, password, part of the path, query
parameter. So nothing is looked for; all but the scheme and the server's name is left out.
"""

from __future__ import annotations

import re

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(\S*)")
SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(:[0-9]{1,5})?")
AFTER = "'\")>,;:.]}"  # what a sentence puts behind an address
LOCAL = ("sqlite", "file")  # the path is one of this machine
LEFT_OUT = "***"


def masked(text: str) -> str:
    """The text, every address in it cut to its scheme and server: `https://host:5000/***`.

    The path of a local file stays. Where what is the server is not beyond doubt, as with an
    unescaped `@` or `/` in a password, the scheme alone is left.
    """

    def cut(match: re.Match[str]) -> str:
        body = match[2].rstrip(AFTER)
        return _cut(match[1], body) + match[2][len(body) :]

    return ADDRESS.sub(cut, text)


def place_of(address: str) -> str:
    """Of one address, whatever is in it: its scheme and server, or the path of a local file."""
    match = ADDRESS.match(address)
    if match is not None:
        return _cut(match[1], address[match.start(2) :])
    return LEFT_OUT if re.search(r"[@?&=:]", address) else address


def is_public(address: str) -> bool:
    """Whether it can have no secret in it: no user, and no query but numbers of few digits.

    For addresses that are published, whose path everybody is told.
    """
    return re.fullmatch(r"[^@?#\s]*(\?\w+=[0-9]{1,4}(&\w+=[0-9]{1,4})*)?", address) is not None


def _cut(scheme: str, rest: str) -> str:
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    path, server = rest[len(authority) :], authority.rpartition("@")[2]
    local = scheme.lower() in LOCAL
    if "@" in path or SERVER.fullmatch(server) is None or not (server or local):
        return f"{scheme}://{LEFT_OUT}"
    if local:
        kept = re.split(r"[?#]", path, maxsplit=1)[0]
        return f"{scheme}://{server}{kept}{'' if kept == path else LEFT_OUT}"
    return f"{scheme}://{server}{f'/{LEFT_OUT}' if path.strip('/') else ''}"
