"""What the server of `make ui` answers at all: MLflow's pages and its tracking API."""

from __future__ import annotations

import pytest
from flask import Flask
from mlflow.server import app as mlflow_server
from werkzeug.exceptions import HTTPException

from pipeline.errors import RecordError
from pipeline.tracking import pages
from pipeline.tracking.pages import ANSWERED, FIELDS, answered, graphql_fields

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def answers(app, path, method):
    """Whether a function is called for it; calls none."""
    try:
        app.url_map.bind("127.0.0.1").match(path, method)
    except HTTPException:
        return False
    return True


def paths_of_mlflow():
    """Every address that its server has in any form: Flask's, and FastAPI's in front of it."""
    from mlflow.server.fastapi_app import create_fastapi_app

    native = create_fastapi_app().openapi()["paths"]
    assert any("assistant" in path for path in native) and any("gateway" in p for p in native)
    return {rule.rule for rule in mlflow_server.url_map.iter_rules()} | set(native)


def filled(path):
    """An address of the rule, with `x` for what it leaves open."""
    for opening, closing in ("<>", "{}"):
        while opening in path:
            before, _, rest = path.partition(opening)
            path = f"{before}x{rest.partition(closing)[2]}"
    return path


def test_no_path_of_mlflow_answers_but_those_named():
    app = answered(mlflow_server)
    paths = paths_of_mlflow()
    assert len(paths) > 300
    for path in paths:
        for method in METHODS:
            expected = method.replace("HEAD", "GET") in ANSWERED.get(path, ())
            assert answers(app, filled(path), method) is expected, f"{method} {path}"


def test_every_named_path_is_one_of_this_mlflow():
    app = answered(mlflow_server)
    for path, methods in ANSWERED.items():
        for method in methods:
            assert answers(app, filled(path), method), f"{method} {path}"


@pytest.mark.parametrize(
    "path",
    [
        *("/ajax-api/3.0/mlflow/assistant/config", "/ajax-api/3.0/mlflow/assistant/message"),
        *("/gateway/mlflow/v1/chat/completions", "/ajax-api/2.0/mlflow/gateway-proxy"),
        *("/ajax-api/3.0/jobs", "/api/2.0/mlflow/webhooks", "/ajax-api/3.0/mlflow/scorer/invoke"),
        *("/api/2.0/mlflow/experiments/create", "/ajax-api/2.0/mlflow/upload-artifact"),
        *("/api/2.0/mlflow-artifacts/artifacts/x", "/v1/traces", "/docs", "/openapi.json"),
    ],
)
def test_what_runs_reaches_out_or_names_files_is_not_there(path):
    app = answered(mlflow_server)
    assert not any(answers(app, path, method) for method in METHODS)


def test_what_a_later_mlflow_adds_is_not_there():
    later = Flask("later", static_folder=None)
    for path in ("/api/2.0/mlflow/runs/execute", "/ajax-api/2.0/mlflow/runs/get"):
        later.add_url_rule(path, path, lambda: "done", methods=["GET", "POST"])
    app = answered(later)
    for path in ("/api/2.0/mlflow/runs/execute", "/ajax-api/2.0/mlflow/runs/get"):
        assert not answers(app, path, "POST")
    assert answers(app, "/ajax-api/2.0/mlflow/runs/get", "GET")


def test_graphql_has_only_the_fields_that_were_looked_at(monkeypatch):
    assert graphql_fields() == FIELDS
    monkeypatch.setattr(pages, "FIELDS", FIELDS - {"mlflowGetRun"})
    with pytest.raises(RecordError, match=r"not looked at \(mlflowGetRun\)"):
        pages.application("sqlite:///never-opened.db", "nowhere")
