"""Passwords and tokens are never printed: not those of addresses, not those of the environment."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

from dmnet.addresses import LEFT_OUT, masked, place_of

# Of an address of which only the end is quoted; of settings; of the header of a request.
QUERY = re.compile(r"([?&][\w.~%-]+=)[^&\s]*")
NAMED = re.compile(
    r"\b(\w*(?:passw|pwd|token|secret|(?:api|access|account|private|shared)[_-]?key|signature"
    r"|credential)[\w-]*['\"]?\s*[=:]\s*|\bsig=)(\"[^\"]*\"|'[^']*'|[^\s,;&]+)",
    re.IGNORECASE,
)
OPTION = re.compile(r"(--[\w-]*(?:passw|token|secret|key)[\w-]*\s+)[^\s-]\S*", re.IGNORECASE)
HEADER = re.compile(r"\b((?:bearer|basic)\s+)[\w+/=.~-]{16,}", re.IGNORECASE)
HEADERS = re.compile(r"\b((?:authorization|cookie)['\"]?\s*[=:]\s*)[^\r\n;'\"]+", re.IGNORECASE)
REQUEST = re.compile(r"(with url: )\S+")  # of an address, as urllib3 quotes it
USER = re.compile(r"()(?<![^\s/'\"(=])[^\s/@:'\"(=]*:[^\s/@]+(?=@[\w.\[-])")  # without a scheme
# What MLflow's and DVC's clients take from the environment, and what looks like it.
VARIABLES = (
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)
VARIABLE = re.compile(
    r"(^|_)(PASSWORD|PASSWD|TOKEN|SECRET|SAS|API_?KEY|ACCESS_?KEY|PRIVATE_KEY|CREDENTIALS?)S?(_|$)",
    re.IGNORECASE,
)
SHORT = 8  # characters; below it, a part of an address or a variable may be an ordinary word


def without_secrets(text: str, address: str = "") -> str:
    """The text without secrets: of every address only its scheme and server, `***` for the rest.

    address: of the server that the text is about, of which any part may be quoted alone.
    """
    if address:
        text = text.replace(address, place_of(address))
    text = masked(text)
    for pattern in (QUERY, HEADERS, NAMED, OPTION, HEADER, REQUEST, USER):
        text = pattern.sub(rf"\1{LEFT_OUT}", text)
    for secret in sorted(_of_address(address) | _of_environment(), key=len, reverse=True):
        text = text.replace(secret, LEFT_OUT)
    return text


def _of_address(address: str) -> set[str]:
    """All but scheme, server and short words, as it stands there and with %xx decoded."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return {address} - {""}
    words = [parts.username or "", parts.path, *parts.path.split("/"), parts.query, parts.fragment]
    words += re.split(r"[&;=]", parts.query)
    secrets = {word for word in words if len(word) >= SHORT} | {parts.password or ""}
    if parts.scheme in ("sqlite", "file"):
        secrets -= {parts.path, *parts.path.split("/")}
    return (secrets | {unquote(word) for word in secrets}) - {""}


def _of_environment() -> set[str]:
    secrets = {
        value
        for name, value in os.environ.items()
        if value and (name in VARIABLES or (VARIABLE.search(name) and len(value) >= SHORT))
    }
    # Passwords of proxies and databases, whose addresses stand in variables of any name.
    users = (re.search(r"[^\s/@:]*:([^\s/@]{4,})@", value) for value in os.environ.values())
    return secrets | {user[1] for user in users if user}
