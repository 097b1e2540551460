"""What is printed or recorded has no password in it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.redaction import place_of, without_secrets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("postgresql://me:geheim@db/mlflow failed", "postgresql://db/*** failed"),
        ("http://me:geheim@host:5000, ssh://a:geheim@b/c", "http://host:5000, ssh://b/***"),
        ("postgresql://db/x?user=me&password=geheim&ssl=on", "postgresql://db/***"),
        ("(https://geheim@github.com/a/b.git)", "(https://github.com/***)"),
        ("s3://bucket/runs?X-Amz-Signature=geheim", "s3://bucket/***"),
        ("https://account.blob.core.windows.net/c?sv=1&sig=geheim", None),
        ("https://host/geheim/mlflow: 404", "https://host/***: 404"),
        ("https://host?api_key=geheim", "https://host/***"),
        ("https://host#access_token=geheim", "https://host/***"),
        ("http://[::1]:5000/geheim", "http://[::1]:5000/***"),
        # Where the server is in doubt, nothing of it is told.
        ("http://me:ge@geheim@host:5000", "http://host:5000"),
        ("http://me:geheim/x@host", "http://***"),
        ("http://me:1234/geheim@host", "http://***"),
        ("http://host\\geheim@x", "http://***"),
        # Nothing of these is secret.
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:///mlflow.db is locked", "sqlite:///mlflow.db is locked"),
        ("sqlite:///a.db?key=geheim", "sqlite:///a.db***"),
        # Quoted without the rest of their address.
        ("Max retries exceeded with url: /api?api_key=geheim (refused)", None),
        ("connection to host=db password=geheim user=me", None),
        ("password='ge heim geheim', next", None),
        ('{"access_token": "geheim", "user": 1}', None),
        ("sent Authorization: Bearer geheim-of-some-length", None),
        ("sent Authorization: Basic geheim", None),
        ("Cookie: session=geheim", None),
        ("proxy me:geheim@proxy:3128 refused", "proxy ***@proxy:3128 refused"),
        ("//me:geheim@host/x", None),
        ("AccountName=me;AccountKey=geheim;x", "AccountName=me;AccountKey=***;x"),
        ("SharedAccessKey=geheim, sig=geheim", None),
        ("dvc --password geheim -v", "dvc --password *** -v"),
        ("Max retries exceeded with url: /hooks/geheim (refused)", None),
        (
            "git@github.com:a/b.git at 09:05:06, file@ 12:30",
            "git@github.com:a/b.git at 09:05:06, file@ 12:30",
        ),
    ],
)
def test_addresses_are_cut_to_scheme_and_server(text, told):
    masked = without_secrets(text)
    assert "geheim" not in masked
    assert told is None or masked == told


def test_a_proxys_password_is_known_from_the_environment(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:geheim@proxy:3128")
    assert without_secrets("407 for geheim") == "407 for ***"


PIECE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
SECRET = st.tuples(PIECE, PIECE, PIECE).map("geheim".join)
PLACES = (
    "https://me:{}@host.example:8443/store",
    "https://{}@host.example/store",
    "https://{}:x@host.example",
    "https://host.example/{}/store",
    "https://host.example/store/{}",
    "https://host.example/store?api_key={}",
    "https://host.example/store?a=1&X-Amz-Signature={}&b=2",
    "https://host.example/?password={}",
    "https://host.example/store#{}",
    "postgresql+psycopg2://me:{}@host.example/runs",
    "sqlite:///runs.db?key={}",
)


@given(SECRET, st.sampled_from(PLACES), st.booleans())
def test_no_place_in_an_address_lets_any_part_of_a_secret_through(secret, place, raw):
    """Escaped as it has to be, or as somebody pastes it."""
    address = place.format(secret if raw else quote(secret, safe=""))
    for told in (
        place_of(address),
        without_secrets(f"MLflow at {address} is away", address),
        without_secrets(f"MLflow at {address}, is away"),
    ):
        assert "geheim" not in told


@given(st.sampled_from(PLACES), st.text("abcdefghijkl0123456789!$-_", min_size=8, max_size=40))
def test_a_part_of_the_servers_address_is_masked_wherever_it_is_quoted(place, secret):
    address = place.format(quote(secret, safe=""))
    told = without_secrets(f"refused {secret} and {quote(secret, safe='')}", address)
    assert secret not in told and quote(secret, safe="") not in told


def test_what_is_no_address_at_all():
    assert place_of("mlruns/here") == "mlruns/here"
    assert place_of("http:/me:geheim@host") == place_of("me:geheim@host") == "***"
    assert place_of("postgresql://me:ge heim@host/x") == "postgresql://host/***"


def test_the_servers_password_is_masked_wherever_it_is_quoted(monkeypatch):
    address = "http://me:gehe%21m@host"
    assert without_secrets("bad password gehe!m (gehe%21m)", address) == "bad password *** (***)"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "geheim-bearer")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    assert without_secrets("sent geheim-bearer with geheim") == "sent *** with ***"


@pytest.mark.parametrize(
    "name", ["GITHUB_TOKEN", "AZURE_STORAGE_SAS_TOKEN", "WANDB_API_KEY", "db_password"]
)
def test_secrets_of_the_environment_are_known_by_their_names(monkeypatch, name):
    monkeypatch.setenv(name, "geheim-and-long")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "ordinary-value")
    assert without_secrets("geheim-and-long, ordinary-value") == "***, ordinary-value"
