"""Passwords and tokens are never printed: not those of addresses, not those of the environment."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s]*@")  # of a server, a database or a remote
QUERY = re.compile(r"([?&](?:pass\w*|pwd|token|secret\w*|sig\w*)=)[^&\s]*", re.IGNORECASE)
VARIABLES = (
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)


def without_secrets(text: str, address: str = "") -> str:
    """The text with `***` in place of every password.

    address: of the server that the text is about; its password may be quoted without the rest.
    """
    text = QUERY.sub(r"\1***", ADDRESS.sub(r"\1***@", text))
    secrets = {os.environ.get(name) for name in VARIABLES}
    written = urlsplit(address).password
    secrets |= {written, unquote(written) if written else None}
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
