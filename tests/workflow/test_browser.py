"""MLflow's pages of Table 2 as a person sees them, and the pictures of docs/mlflow.md.

Run by `make test-browser`. With DOCS_IMAGES=1 the pictures in docs/images/ are taken anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow import MlflowClient

from tests.servers.services import answers, free_port, printed_token, wait_until
from tests.workflow.conftest import REPOSITORY

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    if os.environ.get("DOCS_IMAGES"):
        return REPOSITORY / "docs" / "images"
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def ui(whole, tmp_path_factory):
    """(address, id of the experiment, cell -> MLflow run): what `make ui` starts, on Table 2."""
    port, log = free_port(), tmp_path_factory.mktemp("ui") / "ui.log"
    command = [sys.executable, "-m", "pipeline", "ui", "--preset", "tiny", "--port", str(port)]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=whole.path, env=whole.environment(), stdout=stream, stderr=stream
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/health"), f"the pages ({log})", 180)
        os.environ["MLFLOW_TRACKING_TOKEN"] = printed_token(log)
        client = MlflowClient(tracking_uri=url)
        experiment = client.get_experiment_by_name("dmnet")
        runs = client.search_runs([experiment.experiment_id])
        cells = {cell: run for run in runs for cell in run.data.tags["dmnet.cells"].split(", ")}
        yield url, experiment.experiment_id, cells
    finally:
        os.environ.pop("MLFLOW_TRACKING_TOKEN", None)
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def page(ui, tmp_path_factory):
    from tests.servers.browser import chromium  # selenium is in the servers' environment only

    with chromium(tmp_path_factory.mktemp("profile")) as page:
        page.open(ui[0])
        page.shows("These pages have a login")
        page.open(f"{ui[0]}/?token={os.environ['MLFLOW_TRACKING_TOKEN']}")
        page.shows("Experiments")
        page.dismiss_assistant()
        yield page


def part(value):
    return quote(json.dumps(value))


def test_the_runs_of_table_2(ui, page, pictures):
    url, experiment, cells = ui
    names = {run.info.run_name for cell, run in cells.items() if cell.startswith("table2/")}
    assert len(names) == 15
    where = quote("tags.`dmnet.tables` LIKE '%table2%'")
    page.open(f"{url}/#/experiments/{experiment}/runs?searchFilter={where}")
    page.shows("15 matching runs", *(name[:16] for name in names))
    page.picture(pictures / "mlflow-runs.png")


def test_two_runs_compared_show_what_differs_and_both_results(ui, page, pictures):
    url, experiment, cells = ui
    # Rows of Table 2 that differ in their dilation rates only.
    runs = [cells["table2/regular-1-2-3-4"], cells["table2/regular-6-12-24-36"]]
    ids = [run.info.run_id for run in runs]
    page.open(f"{url}/#/compare-runs?runs={part(ids)}&experiments={part([experiment])}")
    page.shows("Comparing 2 Runs", "Show diff only", *ids)
    page.shows("model.head.dilations", "Dilated {1,2,3,4}", "Dilated {6,12,24,36}")
    page.picture(pictures / "mlflow-compare.png")


def test_a_training_curve(ui, page, pictures):
    url, experiment, cells = ui
    run = cells["table2/context-aware"]
    loss = sorted(
        MlflowClient(tracking_uri=url).get_metric_history(run.info.run_id, "train/loss"),
        key=lambda point: point.step,
    )
    assert [point.step for point in loss] == [1, 2, 3, 4, 5, 6]
    page.open(
        f"{url}/#/metric?runs={part([run.info.run_id])}&metric={part('train/loss')}"
        f"&experiments={part([experiment])}&plot_metric_keys={part(['train/loss'])}&x_axis=step"
    )
    highest = max(loss, key=lambda point: point.value)
    page.shows("Completed Runs", f"{loss[-1].value} (step=6)")
    page.shows(f"{highest.value} (step={highest.step})")
    assert page.count(".js-plotly-plot .scatterlayer .js-line") >= 1, "a line is drawn"
    page.picture(pictures / "mlflow-curve.png")


def test_the_per_class_iou_is_a_table(ui, page):
    url, experiment, cells = ui
    run = cells["table2/context-aware"]
    page.open(f"{url}/#/experiments/{experiment}/runs/{run.info.run_id}/artifacts")
    page.shows("per_class_iou", "config.json", "environment.json")
    page.click("per_class_iou")
    page.click("single-scale")
    page.shows("View as table", "class", "iou", "background", "aeroplane", "bicycle")


def test_it_listens_on_this_machine_only(ui):
    port = int(ui[0].rsplit(":", 1)[1])
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {
        fields[1].split(":")[0]
        for fields in listening
        if fields[3] == "0A" and int(fields[1].split(":")[1], 16) == port
    }
    assert addresses == {"0100007F"}, "127.0.0.1, as the kernel writes it"
