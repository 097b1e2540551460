"""A team's tracking server (MLflow on PostgreSQL): many at once, and whatever happens to it.

Run by `make test-servers`. What a server must hold in the end is compared with the runs' own files:
every run once, every step of every curve once.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections import Counter

import pytest
from mlflow import MlflowClient

from pipeline import tracking
from pipeline.errors import RecordError
from pipeline.experiments import build_experiment
from tests.servers.services import (
    answers,
    free_port,
    mlflow_server,
    postgresql,
    printed_token,
    refusing,
    silent,
    status,
)
from tests.workflow.conftest import wait_until

pytestmark = pytest.mark.servers
RECORD = (sys.executable, "-m", "pipeline", "record", "--no-dvc", "--preset", "tiny")


@pytest.fixture(scope="module")
def database():
    with postgresql() as uri:
        yield uri


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("server"), database) as server:
        yield server


@pytest.fixture
def empty(server):
    """The server without an experiment; a deleted one keeps its name."""
    client = MlflowClient(tracking_uri=server.url)
    found = client.get_experiment_by_name("dmnet")
    if found is not None:
        client.rename_experiment(found.experiment_id, f"dmnet-{time.monotonic_ns()}")
    return server


def holds_each_run_and_step_once(uri, clone):
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("dmnet")
    runs = list(client.search_runs([experiment.experiment_id], max_results=1000))
    assert sorted(run.data.tags["dmnet.key"] for run in runs) == sorted(clone.runs())
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        key = run.data.tags["dmnet.key"]
        rows = [json.loads(line) for line in clone.read(f"runs/{key}/history.jsonl").splitlines()]
        written = [(row["iteration"], row["loss"]) for row in rows if "loss" in row]
        points = client.get_metric_history(run.info.run_id, "train/loss")
        assert sorted((point.step, point.value) for point in points) == written
        for metric in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, metric)
            assert max(Counter(point.step for point in history).values()) == 1, metric
        (table,) = client.list_artifacts(run.info.run_id, "per_class_iou")
        assert len(table_rows(client, run, table.path)) == 21


def table_rows(client, run, path):
    return json.loads(open(client.download_artifacts(run.info.run_id, path)).read())["data"]


def twelve_at_once(clones, **environment):
    jobs = [
        subprocess.Popen(
            RECORD,
            cwd=clone.path,
            env=clone.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for clone in clones
    ]
    for job in jobs:
        text, _ = job.communicate(timeout=300)
        assert job.returncode == 0, text


def test_twelve_jobs_at_once_in_one_clone_on_a_fresh_sqlite(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    for path in clone.path.glob("mlflow.db*"):
        path.unlink()
    clone.forget("mlartifacts")
    twelve_at_once([clone] * 12)
    holds_each_run_and_step_once(f"sqlite:///{clone.path}/mlflow.db", clone)


def test_twelve_clones_at_once_on_postgresql(small, empty, tmp_path):
    """Each has the same three runs and finds none of them there when it begins."""
    clones = [small.copy(tmp_path / f"clone{number}") for number in range(12)]
    twelve_at_once(clones, MLFLOW_TRACKING_URI=empty.url)
    holds_each_run_and_step_once(empty.url, small)
    again = small.copy(tmp_path / "again").call(*RECORD, MLFLOW_TRACKING_URI=empty.url)
    assert "3 finished runs, 0 newly recorded" in again.text


def test_down_from_the_start_then_one_command_completes_the_record(small, database, tmp_path):
    clone, port = small.copy(tmp_path / "clone"), free_port()
    clone.forget_runs()
    uri = f"http://127.0.0.1:{port}"
    result = clone.snakemake("reports/three.md", MLFLOW_TRACKING_URI=uri)
    assert result.code == 0, result.text
    assert "3 of 3 finished runs not recorded" in result.text
    assert clone.weights() == small.weights()
    folder = tmp_path / "server"
    folder.mkdir()
    with mlflow_server(folder, f"sqlite:///{folder}/mlflow.db", port) as server:
        assert clone.call(*RECORD, MLFLOW_TRACKING_URI=uri).code == 0
        holds_each_run_and_step_once(server.url, clone)


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_it_dies_or_hangs_in_the_middle_of_a_record(small, tmp_path, how):
    clone, port = small.copy(tmp_path / "clone"), free_port()
    folder = tmp_path / "server"
    folder.mkdir()
    uri, store = f"http://127.0.0.1:{port}", f"sqlite:///{folder}/mlflow.db"
    with mlflow_server(folder, store, port) as server:
        job = subprocess.Popen(
            RECORD,
            cwd=clone.path,
            env=clone.environment(MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_TIMEOUT="20"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        client = MlflowClient(tracking_uri=uri)
        wait_until(lambda: client.get_experiment_by_name("dmnet"), 120)
        started = time.monotonic()
        server.kill() if how == "killed" else server.freeze()
        text, _ = job.communicate(timeout=120)
        assert job.returncode == 1, text
        assert time.monotonic() - started < 90
        assert "of 3 finished runs not recorded" in text and "Traceback" not in text
        if how == "frozen":
            server.thaw()
            assert clone.call(*RECORD, MLFLOW_TRACKING_URI=uri).code == 0
            holds_each_run_and_step_once(uri, clone)
    if how == "killed":
        with mlflow_server(folder, store, port):
            assert clone.call(*RECORD, MLFLOW_TRACKING_URI=uri).code == 0
            holds_each_run_and_step_once(uri, clone)


@pytest.mark.parametrize("status", [500, 401])
def test_a_server_that_refuses_is_told_in_one_line(small, tmp_path, status):
    clone = small.copy(tmp_path / "clone")
    with refusing(status) as url:
        result = clone.call(*RECORD, MLFLOW_TRACKING_URI=url, MLFLOW_TRACKING_TOKEN="geheim")
    assert result.code == 1
    (line,) = [line for line in result.text.splitlines() if line.startswith("error: ")]
    assert f"MLflow at {url}" in line and "3 of 3 finished runs not recorded" in line
    assert "geheim" not in result.text and "Traceback" not in result.text


def test_a_server_with_a_login_takes_the_record_and_the_password_stays_secret(
    small, tmp_path, monkeypatch
):
    """As docs/mlflow.md starts one; the password stands in the environment, or in the address."""
    clone = small.copy(tmp_path / "clone")
    folder = tmp_path / "server"
    folder.mkdir()
    secret = "geheim-and-long!"
    user = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": secret}
    with mlflow_server(folder, f"sqlite:///{folder}/mlflow.db", password=secret) as server:
        uri = {"MLFLOW_TRACKING_URI": server.url}
        told = ""
        for wrong in ({}, user | {"MLFLOW_TRACKING_PASSWORD": "geheim-but-wrong"}):
            refused = clone.call(*RECORD, **uri, **wrong)
            assert refused.code == 1 and "Traceback" not in refused.text
            assert "3 of 3 finished runs not recorded" in refused.text
            told += refused.text
        recorded = clone.call(*RECORD, **uri, **user)
        assert "3 finished runs, 3 newly recorded" in recorded.text, recorded.text
        address = server.url.replace("://", "://admin:geheim-and-long%21@")
        again = clone.call(*RECORD, MLFLOW_TRACKING_URI=address)
        assert "3 finished runs, 0 newly recorded" in again.text, again.text
        clone.forget("reports")
        report = clone.snakemake("reports/three.md", **uri, **user)
        assert report.code == 0, report.text
        told += recorded.text + again.text + report.text
        for name, value in user.items():
            monkeypatch.setenv(name, value)
        holds_each_run_and_step_once(server.url, clone)
        client = MlflowClient(tracking_uri=server.url)
        (experiment,) = client.search_experiments(filter_string="name = 'dmnet'")
        for run in client.search_runs([experiment.experiment_id]):
            assert "geheim" not in str(run.to_dictionary())
    assert "geheim" not in told
    for path in clone.path.rglob("*"):
        assert not path.is_file() or b"geheim-" not in path.read_bytes() or "tests" in path.parts


def test_a_teams_server_has_no_assistant_and_no_other_name(tmp_path):
    """Started as docs/mlflow.md says; the login holds on the machine itself, too."""
    with mlflow_server(
        tmp_path, f"sqlite:///{tmp_path}/mlflow.db", password="geheim-and-long!"
    ) as it:
        login = base64.b64encode(b"admin:geheim-and-long!").decode()
        right = {"Authorization": f"Basic {login}"}
        experiments = f"{it.url}/api/2.0/mlflow/experiments/search?max_results=1"
        assert status(experiments, **right) == 200
        assert status(experiments) == 401
        assert status(experiments, Host="10.evil.example", **right) == 403
        for path in ("/ajax-api/3.0/mlflow/assistant/config", "/gateway/mlflow/v1/models"):
            assert status(it.url + path, **right) == 404


def test_a_database_that_hangs_costs_the_limit_and_no_more(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    with silent() as port:
        uri = f"postgresql://someone:geheim@127.0.0.1:{port}/mlflow"
        started = time.monotonic()
        result = clone.call(*RECORD, "--limit", "8", MLFLOW_TRACKING_URI=uri)
        seconds = time.monotonic() - started
    assert result.code == 1 and seconds < 40
    assert f"MLflow at postgresql://127.0.0.1:{port}/***:" in result.text
    assert "not done within 8 s; 3 of 3 finished runs not recorded" in result.text
    assert "geheim" not in result.text


def test_a_training_is_neither_slowed_nor_changed_by_a_server_that_hangs(small, tmp_path):
    """Jobs never speak to the server, so that its state cannot matter; their logs show no trace."""
    clone = small.copy(tmp_path / "clone")
    clone.forget_runs()
    with silent() as port:
        uri = f"http://127.0.0.1:{port}"
        result = clone.snakemake("reports/three.md", MLFLOW_TRACKING_URI=uri)
    assert result.code == 0, result.text
    assert clone.weights() == small.weights()
    for log in clone.path.glob("logs/runs/*/*.log"):
        assert "mlflow" not in log.read_text().lower()


CALLS = ("create_run", "log_batch", "log_dict", "log_artifact", "set_terminated", "set_tag")


@pytest.mark.parametrize("call", CALLS)
def test_a_record_broken_anywhere_is_repaired_without_doubles(
    small, empty, tmp_path, monkeypatch, call
):
    """The connection is lost at the second such call; one command then completes the record."""
    clone = small.copy(tmp_path / "clone")
    monkeypatch.chdir(clone.path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", empty.url)
    experiment, keys = build_experiment("tiny", 1), set(clone.runs())
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, _works_once(getattr(MlflowClient, call)))
        with pytest.raises(RecordError, match="connection lost; . of 3 finished runs not recorded"):
            tracking.ingest(experiment, keys)
    tracking.ingest(experiment, keys)
    holds_each_run_and_step_once(empty.url, clone)


def _works_once(call):
    calls = []

    def failing(*arguments, **keywords):
        if calls:
            raise OSError("connection lost")
        calls.append(arguments)
        return call(*arguments, **keywords)

    return failing


def test_curves_move_while_a_run_trains_and_the_run_is_the_same_when_it_ends(
    small, tmp_path, monkeypatch
):
    clone, port = small.copy(tmp_path / "clone"), free_port()
    clone.forget_runs()
    clone.forget("mlartifacts")
    for path in clone.path.glob("mlflow.db*"):
        path.unlink()
    with (tmp_path / "ui.log").open("w") as log:
        ui = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "ui", "--preset", "long", "--every", "0.5"]
            + ["--port", str(port)],
            cwd=clone.path,
            env=clone.environment(),
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    seen = {}  # run id -> the last steps that were seen while it trained

    def look():
        client = MlflowClient(tracking_uri=url)
        experiment = client.get_experiment_by_name("dmnet")
        for run in client.search_runs([experiment.experiment_id]) if experiment else ():
            if run.info.status == "RUNNING" and "train/loss" in run.data.metrics:
                points = client.get_metric_history(run.info.run_id, "train/loss")
                seen.setdefault(run.info.run_id, set()).add(max(p.step for p in points))
            elif run.info.status == "FINISHED":
                return run.info.run_id
        return None

    try:
        wait_until(lambda: answers(f"{url}/health"), 180)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", printed_token(tmp_path / "ui.log"))
        training = clone.start("reports/one.md", preset="long")
        finished = wait_until(look, 240)
        assert training.wait(timeout=120) == 0, clone.output()
    finally:
        ui.terminate()
        ui.wait(timeout=60)
    assert finished in seen and len(seen[finished]) >= 2, seen
    holds_each_run_and_step_once(f"sqlite:///{clone.path}/mlflow.db", clone)
