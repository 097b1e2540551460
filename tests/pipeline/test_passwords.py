"""What is printed or recorded has no password in it."""

from __future__ import annotations

import pytest

from pipeline.passwords import without_secrets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("postgresql://me:geheim@db/mlflow failed", "postgresql://me:***@db/mlflow failed"),
        (
            "http://me:ge@heim@host:5000, ssh://a:geheim@b/c",
            "http://me:***@host:5000, ssh://a:***@b/c",
        ),
        (
            "postgresql://db/x?user=me&password=geheim&ssl=on",
            "postgresql://db/x?user=me&password=***&ssl=on",
        ),
        ("ssh://git@host:22/store", "ssh://git@host:22/store"),
    ],
)
def test_passwords_in_addresses_are_masked(text, told):
    assert without_secrets(text) == told


def test_the_servers_password_is_masked_wherever_it_is_quoted(monkeypatch):
    address = "http://me:gehe%21m@host"
    assert without_secrets("bad password gehe!m (gehe%21m)", address) == "bad password *** (***)"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "geheim-bearer")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    assert without_secrets("sent geheim-bearer with geheim") == "sent *** with ***"
