"""After the jobs: MLflow has every run once, DVC tracks it; neither decides or stops anything."""

from __future__ import annotations

import json
import math
import socket
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

KEYS_AND_STEPS = [1, 2, 3, 4, 5, 6]


def recorded(clone):
    client = MlflowClient(tracking_uri=f"sqlite:///{clone.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dmnet")
    return client, list(client.search_runs([experiment.experiment_id], max_results=1000))


def points(client, run, metric):
    history = client.get_metric_history(run.info.run_id, metric)
    return [(point.step, point.value) for point in sorted(history, key=lambda p: p.step)]


@pytest.fixture(scope="module")
def store(whole):
    client, runs = recorded(whole)
    return client, {run.data.tags["dmnet.key"]: run for run in runs}, len(runs)


def test_mlflow_has_every_run_exactly_once(whole, store):
    _, runs, count = store
    assert count == 15
    assert runs.keys() == whole.runs().keys()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_mlflow_has_the_curves_with_every_step_once(whole, store):
    client, runs, _ = store
    for key, run in runs.items():
        rows = [line for line in whole.read(f"runs/{key}/history.jsonl").splitlines() if line]
        assert len(rows) == 8, "six losses and two validations"
        assert [step for step, _ in points(client, run, "train/loss")] == KEYS_AND_STEPS
        assert [step for step, _ in points(client, run, "val_miou")] == [3, 6]
        first, *_, last = points(client, run, "train/lr")
        assert first == (1, 0.05)
        assert last == (6, pytest.approx(0.05 * (1 - 5 / 6) ** 0.9))
        assert all(math.isfinite(loss) for _, loss in points(client, run, "train/loss"))


def test_mlflow_has_the_final_results_of_the_report(whole, store):
    client, runs, _ = store
    for key, run in runs.items():
        (path,) = whole.path.glob(f"runs/{key}/evaluations/*.json")
        result = whole.json(str(path.relative_to(whole.path)))
        final = f"final/{path.stem}"
        assert points(client, run, f"{final}/miou") == [(6, pytest.approx(result["miou"]))]
        for index, iou in enumerate(result["per_class_iou"]):
            name = f"{final}/iou/class_{index:03d}"
            expected = [] if iou is None else [(6, pytest.approx(iou))]
            assert points(client, run, name) == expected


def test_mlflow_has_parameters_and_tags(whole, store):
    _, runs, _ = store
    commit = whole.git("rev-parse", "HEAD").strip()
    for key, run in runs.items():
        config = whole.json(f"runs/{key}/config.json")["run"]
        assert run.data.params["recipe.lr"] == str(config["recipe"]["lr"])
        assert run.data.params["model.head.name"] == config["model"]["head"]["name"]
        assert run.data.params["model.backbone.width"] == "4"
        tags = run.data.tags
        assert tags["dmnet.preset"] == "tiny"
        assert tags["dmnet.commit"] == commit
        assert tags["dmnet.weights_sha256"] == whole.weights()[key]
    (shared,) = [
        run for run in runs.values() if "table2/context-aware" in run.data.tags["dmnet.cells"]
    ]
    assert "table2" in shared.data.tags["dmnet.tables"].split(", ")


def test_recording_again_adds_nothing(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    before = {run.info.run_id: run.data for run in recorded(clone)[1]}
    result = clone.pipeline("record")
    assert result.code == 0, result.text
    assert "MLflow: 3 finished runs, 0 newly recorded" in result.text
    after = {run.info.run_id: run.data for run in recorded(clone)[1]}
    assert after.keys() == before.keys()
    for run_id, data in after.items():
        assert data.metrics == before[run_id].metrics
        assert data.params == before[run_id].params
        assert data.tags == before[run_id].tags


def test_recording_one_table_leaves_the_cells_of_the_others_in_the_tags(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    before = {run.info.run_id: run.data.tags for run in recorded(clone)[1]}
    assert clone.pipeline("record", "three").code == 0
    assert {run.info.run_id: run.data.tags for run in recorded(clone)[1]} == before


def test_a_dead_tracking_server_is_told_and_costs_neither_the_report_nor_the_evening(
    small, tmp_path
):
    clone = small.copy(tmp_path / "clone")
    clone.forget("reports")
    started = time.monotonic()
    result = clone.snakemake("reports/three.md", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert result.code == 0, result.text
    assert "error: MLflow at http://127.0.0.1:9" in result.text
    assert "the runs are unharmed" in result.text
    assert "Traceback" not in result.text
    assert (clone.path / "reports" / "three.md").is_file()
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("hangs", [False, True])
def test_a_server_that_refuses_or_hangs_costs_seconds_and_its_password_stays_secret(
    small, tmp_path, hangs
):
    clone = small.copy(tmp_path / "clone")
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts and never answers
        port = server.getsockname()[1] if hangs else 9
        uri = f"http://someone:geheim%21@127.0.0.1:{port}"
        started = time.monotonic()
        settings = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
        result = clone.pipeline("record", "--no-dvc", **settings)
    assert result.code == 1
    (line,) = [line for line in result.text.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: MLflow at http://127.0.0.1:{port}:")
    assert "geheim" not in result.text and "Traceback" not in result.text
    assert time.monotonic() - started < 40


def test_published_values_stand_beside_measured_ones_and_tags_name_the_place(small):
    _, runs = recorded(small)
    by_cell = {cell: run for run in runs for cell in run.data.tags["dmnet.cells"].split(", ")}
    run = by_cell["three/ours"]
    entry = small.json("reports/three.json")["rows"][0]["Value"]
    assert run.data.metrics["cell/three/ours/ours"] == entry["ours"]
    assert run.data.metrics["cell/three/ours/published"] == entry["published"] == 78.21
    tags = run.data.tags
    assert "Value" in tags["dmnet.columns"].split("; ")
    assert (tags["dmnet.source"], tags["dmnet.seed"]) == ("trained", "0")
    assert tags["dmnet.dvc"] in small.read(f"runs/{tags['dmnet.key']}.dvc")


def test_per_class_ious_are_a_table_and_what_the_training_took_is_there(small, tmp_path):
    client, runs = recorded(small)
    for run in runs:
        key = run.data.tags["dmnet.key"]
        (path,) = small.path.glob(f"runs/{key}/evaluations/*.json")
        result = small.json(path.relative_to(small.path))
        # What the UI shows as tables; beside it in the store lie those of copies of this clone.
        (table,) = json.loads(run.data.tags["mlflow.loggedArtifacts"])
        assert table["type"] == "table"
        assert table["path"].startswith(f"per_class_iou/{path.stem}-")
        file = Path(client.download_artifacts(run.info.run_id, table["path"], str(tmp_path)))
        content = json.loads(file.read_text())
        assert content["columns"] == ["class", "iou"]
        assert [iou for _, iou in content["data"]] == result["per_class_iou"]
        assert content["data"][0][0] == "background"
        names, values = small.read(f"benchmarks/{key}/train.tsv").splitlines()[:2]
        taken = dict(zip(names.split("\t"), values.split("\t"), strict=True))
        assert run.data.metrics["system/seconds"] == float(taken["s"])
        if taken["max_rss"] not in ("-", "NA"):  # not measured of a job that is too short
            assert run.data.metrics["system/peak_memory_mib"] == float(taken["max_rss"])


def test_git_sees_a_small_file_for_each_run_and_evaluation_and_nothing_else(whole):
    evaluations = [path.parts[-3:] for path in whole.path.glob("runs/*/evaluations/*.json")]
    expected = [f"?? runs/{key}.dvc" for key in whole.runs()]
    expected += [f"?? runs/{key}.{Path(name).stem}.dvc" for key, _, name in evaluations]
    expected.sort()
    assert sorted(whole.git("status", "--porcelain").splitlines()) == expected


def test_dvc_knows_the_runs_and_finds_them_unchanged(whole):
    entries = sorted(path.name for path in whole.path.glob("runs/*.dvc"))
    result = whole.python("-m", "dvc", "status", *(f"runs/{name}" for name in entries))
    assert result.code == 0
    assert "Data and pipelines are up to date." in result.text


def test_a_run_comes_back_from_a_dvc_remote_and_is_not_trained_again(small, tmp_path):
    clone = small.copy(tmp_path / "clone")

    def dvc(*arguments):
        result = clone.python("-m", "dvc", *arguments)
        assert result.code == 0, result.text

    dvc("remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    dvc("push")
    lost = sorted(clone.weights())[0]
    clone.forget(f"runs/{lost}", ".dvc/cache", "reports")
    dvc("pull")
    assert clone.weights() == small.weights()
    result = clone.snakemake("reports/three.md")
    assert result.code == 0, result.text
    assert "train" not in result.jobs
    assert clone.read("reports/three.json") == small.read("reports/three.json")


def test_a_colleagues_clone_needs_only_git_and_dvc_pull(small, tmp_path):
    """No .snakemake folder, no data: the pulled runs still answer for their cells."""
    clone = small.copy(tmp_path / "clone")
    clone.git("add", "runs")
    clone.git("commit", "-q", "-m", "runs")
    store = str(tmp_path / "store")
    for command in (("remote", "add", "--local", "-d", "store", store), ("push",)):
        assert clone.python("-m", "dvc", *command).code == 0
    clone.forget("runs", "reports", "data", ".snakemake", ".dvc/cache")
    clone.git("checkout", "-q", "--", "runs")
    assert clone.python("-m", "dvc", "pull").code == 0
    result = clone.snakemake("reports/three.md")
    assert result.code == 0, result.text
    assert clone.weights() == small.weights()
    assert "going on from" not in result.text and "6/6" not in result.text, "nothing was trained"
    assert clone.read("reports/three.json") == small.read("reports/three.json")


def test_a_workflow_told_to_leave_no_record_leaves_it_to_the_command(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    clone.forget("reports", "mlartifacts")
    for path in (*clone.path.glob("mlflow.db*"), *clone.path.glob("runs/*.dvc")):
        path.unlink()
    settings = ("--config", "preset=tiny", "record=no")
    result = clone.snakemake("reports/three.md", *settings)
    assert result.code == 0, result.text
    assert "MLflow" not in result.text and "DVC" not in result.text
    assert not (clone.path / "mlflow.db").exists() and not list(clone.path.glob("runs/*.dvc"))
    told = clone.pipeline("record").text
    assert "3 runs tracked" in told and "3 newly recorded" in told
    assert "Nothing to be done" in clone.snakemake("reports/three.md").text
