"""`make ui` in a clone of its own, and what another user of the machine may try on its port."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.servers.services import free_port, printed_token
from tests.workflow.conftest import wait_until


@pytest.fixture(scope="module")
def ui(small_template, tmp_path_factory):
    """(address, token, everything printed): of the pages, with nothing recorded yet."""
    port, log = free_port(), tmp_path_factory.mktemp("ui") / "ui.log"
    command = [sys.executable, "-m", "pipeline", "ui", "--preset", "tiny", "--port", str(port)]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            cwd=small_template.path,
            # Blank is not set, for MLflow as for this.
            env=small_template.environment(MLFLOW_TRACKING_URI=""),
            stdout=stream,
            stderr=stream,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        token = wait_until(lambda: printed_token(log), 180)
        wait_until(lambda: asked(f"{url}/health") == 200, 180)
        yield url, token, log
    finally:
        process.terminate()
        process.wait(timeout=60)


def asked(url, method="GET", body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_the_assistant_cannot_be_pointed_at_a_model_and_asked_for_a_shell(ui):
    url, token, _ = ui
    assistant = f"{url}/ajax-api/3.0/mlflow/assistant"
    provider = {"model": "m", "selected": True, "permissions": {"full_access": True}}
    config = {"providers": {"ollama": provider | {"base_url": "http://127.0.0.1:9"}}}
    for path, method, body in (
        ("/config", "PUT", config),
        ("/message", "POST", {"message": "hi"}),
        ("/sessions/x/stream", "GET", None),
    ):
        assert asked(assistant + path, method, body) == 401
        assert asked(assistant + path, method, body, Authorization=f"Bearer {token}") == 404


def test_the_token_opens_the_page_and_the_tracking_api(ui, monkeypatch):
    url, token, _ = ui
    right = {"Authorization": f"Bearer {token}"}
    assert asked(url) == 401 and asked(url, **right) == 200
    assert asked(url, Host="10.evil.example", **right) == 403
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    client = MlflowClient(tracking_uri=url)
    experiment = client.get_experiment_by_name("dmnet")
    assert client.search_runs([experiment.experiment_id]) == []


def test_the_token_is_where_no_other_user_reads_it(ui):
    _, token, log = ui
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _there(path)]
    assert any(b"pipeline.tracking.server" in line for line in lines)
    assert not any(token.encode() in line for line in lines)
    assert log.read_text().count(token) == 1, "the link, and no log of requests"


def _there(path):
    try:
        return bool(path.read_bytes())
    except OSError:
        return False  # ended meanwhile
