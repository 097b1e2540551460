"""Which store the runs go to."""

from __future__ import annotations

import pytest

from pipeline.tracking import ui
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


def test_a_database_whose_making_was_killed_is_never_taken_for_one(build, tmp_path, monkeypatch):
    """MLflow cannot go on with half of its tables: `record` said so from then on."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    work = Ingestion(build("toy"), [], [], tmp_path)
    assert work.uri == DEFAULT_URI

    class Client:
        """MLflow's, which makes the tables when it is first asked; `killed` after half of them."""

        killed = True

        def __init__(self, tracking_uri):
            self.path = tmp_path / tracking_uri.removeprefix("sqlite:///")

        def search_experiments(self):
            assert not self.path.exists(), "begun anew, not on top of half"
            self.path.write_text("half")
            if self.killed:
                raise KeyboardInterrupt
            self.path.write_text("whole")

    with pytest.raises(KeyboardInterrupt):
        work._make_whole(Client)
    assert not (tmp_path / "mlflow.db").exists()
    Client.killed = False
    work._make_whole(Client)
    assert (tmp_path / "mlflow.db").read_text() == "whole"
    work._make_whole(None)  # which is there, so that nothing is made
