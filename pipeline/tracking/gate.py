"""Who may see the pages: only requests to this machine's names, from its own pages, with the token.

A WSGI application in front of another. It knows nothing of MLflow, whose own checks believe every
local user and every page of this machine.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "same-origin"),
)
ASKS = "These pages have a login: open the address that `make ui` printed, with its token.\n"


@dataclass(frozen=True)
class Gate:
    """Hands on to `app` only what is asked with the token, under one of `hosts`, by its own pages.

    token: as `Authorization: Bearer`, which MLflow's client sends of MLFLOW_TRACKING_TOKEN, or as
    the cookie that `/?token=` sets. hosts: names without a port, in lower case; no patterns. port:
    names the cookie, as a browser sends one to all ports of a machine. `/health` asks no token.
    """

    app: Application
    token: str
    hosts: frozenset[str]
    port: int

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        path, method = environ.get("PATH_INFO", ""), environ.get("REQUEST_METHOD", "")
        named = HOST.fullmatch(host)
        if named is None or named[1].lower() not in self.hosts:
            told = "Not a name of these pages; `make ui` prints one, --host gives another.\n"
            return _answer(start_response, "403 Forbidden", told)
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return _answer(start_response, "403 Forbidden", "Another site's page asked this.\n")
        if path == "/health" and method in ("GET", "HEAD"):
            return _answer(start_response, "200 OK", "OK")
        if path == "/" and method == "GET" and self._is_right(_asked(environ)):
            attributes = "Path=/; HttpOnly; SameSite=Strict"
            cookie = ("Set-Cookie", f"dmnet-ui-{self.port}={self.token}; {attributes}")
            return _answer(start_response, "303 See Other", "", ("Location", "/"), cookie)
        if not (self._is_right(_bearer(environ)) or self._is_right(self._kept(environ))):
            return _answer(start_response, "401 Unauthorized", ASKS)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, *HEADERS], *rest)

        return self.app(environ, start)

    def _is_right(self, token: str | None) -> bool:
        return token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def _kept(self, environ: dict[str, Any]) -> str | None:
        try:
            cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(f"dmnet-ui-{self.port}")
        except CookieError:
            return None
        return None if cookie is None else cookie.value


def _asked(environ: dict[str, Any]) -> str | None:
    tokens = parse_qs(environ.get("QUERY_STRING", ""), errors="replace").get("token", [])
    return tokens[0] if len(tokens) == 1 else None


def _bearer(environ: dict[str, Any]) -> str | None:
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token if scheme.lower() == "bearer" else None


def _answer(
    start_response: Callable[..., Any], status: str, text: str, *more: tuple[str, str]
) -> Iterable[bytes]:
    body = text.encode()
    kind = ("Content-Type", "text/plain; charset=utf-8")
    length = ("Content-Length", str(len(body)))
    start_response(status, [kind, length, ("Cache-Control", "no-store"), *HEADERS, *more])
    return [body]
