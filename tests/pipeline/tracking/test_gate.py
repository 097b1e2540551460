"""Who gets in to the pages of `make ui`."""

from __future__ import annotations

import pytest
from werkzeug.test import Client, create_environ, run_wsgi_app
from werkzeug.wrappers import Response

from pipeline.tracking.gate import Gate
from pipeline.tracking.ui import names

TOKEN = "the-token-of-this-start"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


def behind(environ, start_response):
    return Response("behind the gate")(environ, start_response)


GATE = Gate(behind, TOKEN, frozenset(names("127.0.0.1")), 5000)


def ask(path="/", method="GET", host="127.0.0.1:5000", **headers):
    environ = create_environ(path, method=method, headers=headers)
    environ["HTTP_HOST"] = host
    body, status, answered = run_wsgi_app(GATE, environ)
    return int(status.split()[0]), answered, b"".join(body).decode()


def test_nothing_but_the_readiness_answers_without_the_token():
    assert ask("/health")[::2] == (200, "OK")
    for path in ("/", "/graphql", "/static-files/x.js", "/version", "/health/", "//health"):
        assert ask(path)[0] == 401, path
    assert ask("/health", method="POST")[0] == 401
    assert "make ui" in ask()[2]


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_another_token_is_none(authorization):
    assert ask(Authorization=authorization)[0] == 401


def test_the_token_as_mlflows_client_sends_it():
    assert ask(**RIGHT)[::2] == (200, "behind the gate")


def test_the_link_sets_a_cookie_and_the_token_leaves_the_address():
    browser = Client(GATE)
    address = "http://127.0.0.1:5000"
    assert browser.get("/", base_url=address).status_code == 401
    assert browser.get(f"/?token={TOKEN}x", base_url=address).status_code == 401
    entered = browser.get(f"/?token={TOKEN}", base_url=address)
    assert (entered.status_code, entered.headers["Location"]) == (303, "/")
    (cookie,) = entered.headers.getlist("Set-Cookie")
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert browser.get("/", base_url=address).text == "behind the gate"
    # As every port of a machine is sent the cookies of all.
    other = Gate(behind, "another", GATE.hosts, 5001)
    assert ask("/", Cookie=f"dmnet-ui-5001={TOKEN}")[0] == 401
    assert Client(other).get("/", headers={"Cookie": cookie.split(";")[0]}).status_code == 401


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5000", "localhost:5000", "LOCALHOST", "[::1]:5000", "localhost:6000"]
)
def test_names_of_this_machine(host):
    """With any port, as `ssh -L` may give it another."""
    assert ask(host=host, **RIGHT)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *("", "10.evil.example", "10.0.0.1", "192.168.1.5:5000", "127.0.0.1.evil.example"),
        *("localhost.evil.example", "evil.example:127.0.0.1", "127.0.0.1:5000@evil.example"),
        *("localhost:", "localhost.", "127.0.0.1:5000\n", "[::1", "0.0.0.0:5000", "127.0.0.1:x"),
    ],
)
def test_no_other_name(host):
    for path in ("/", "/health", f"/?token={TOKEN}"):
        assert ask(path, host=host, **RIGHT)[0] == 403


def test_the_names_where_other_machines_reach_it():
    assert "gpu7.example.org" in names("gpu7.example.org")
    assert "[fd00::7]" in names("fd00::7")
    assert not any("*" in name or name in ("0.0.0.0", "::", "[::]") for name in names("0.0.0.0"))


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost:8000", "http://127.0.0.1:8000", "https://evil.example", "null", ""),
        *("http://127.0.0.1", "file://", "http://127.0.0.1:5000.evil.example"),
    ],
)
def test_a_page_of_another_origin_is_refused_even_with_the_token(origin):
    """Of another port, too: a browser counts it to the same site and sends the cookie."""
    for method in ("GET", "POST", "OPTIONS"):
        status, headers, _ = ask(method=method, Origin=origin, **RIGHT)
        assert status == 403
        assert not [name for name, _ in headers if name.startswith("Access-Control")]


def test_the_pages_own_requests_have_its_origin():
    assert ask(method="POST", Origin="http://127.0.0.1:5000", **RIGHT)[0] == 200
