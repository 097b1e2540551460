"""Which store the runs go to."""

from __future__ import annotations

import pytest

from pipeline import ui
from pipeline.tracking.ingestion import Ingestion
from pipeline.tracking.place import DEFAULT_URI, team_server


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_address_is_none(build, tmp_path, monkeypatch, blank):
    """As MLflow takes it. The own database then has one writer, by its lock."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", blank)
    work = Ingestion(build("toy"), [], [], tmp_path)
    assert work.uri == DEFAULT_URI
    with work._alone():
        assert (tmp_path / "mlflow.db-lock").exists()


def test_the_pages_are_served_with_a_blank_address(build, monkeypatch):
    started = []

    class Server:
        returncode = 0
        pid = 0

        def poll(self):
            return 0

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setattr(ui, "ingest", lambda *arguments, **settings: "")
    monkeypatch.setattr(ui, "_check_free", lambda host, port: None)
    monkeypatch.setattr(ui, "_start", lambda host, port, *more: started.append(port) or Server())
    monkeypatch.setattr(ui, "_stop", lambda server: None)
    with pytest.raises(ui.RecordError, match="server ended"):
        ui.serve(build("toy"), "127.0.0.1", 5000, 0)
    assert started == [5000]


def test_an_address_is_taken_without_the_blanks_around_it(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", " http://server:5000\n")
    assert team_server() == "http://server:5000"
