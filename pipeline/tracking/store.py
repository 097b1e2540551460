"""The experiment in MLflow: runs are found by what they are, written once, and never doubled."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from dmnet.files import read_json, write_text
from pipeline import paths
from pipeline.experiments import Run
from pipeline.tracking.place import ARTIFACTS, team_server
from pipeline.tracking.runs import TrackedRun, predicted_images, system_points

EXPERIMENT_NAME = "dmnet"
KIND = "mlflow.experimentKind"  # which of its two faces MLflow shows
BATCH = 900  # MLflow takes at most 1000 metrics in one call
# Names this clone among those that train the same run: a random number.
TREE = f"{paths.RUNS}/.locks/clone"


class Store:
    """The experiment in MLflow."""

    def __init__(self, client: Any, root: Path) -> None:
        self.client, self.root = client, root
        self.experiment_id = self._experiment_id()
        self.tree = self._tree()

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(EXPERIMENT_NAME)
        if found is not None:
            return str(found.experiment_id)
        location = None if team_server() else (self.root / ARTIFACTS).resolve().as_uri()
        face = {KIND: "custom_model_development"}
        try:
            return str(self.client.create_experiment(EXPERIMENT_NAME, location, face))
        except MlflowException:
            # Created by somebody else.
            experiment = self.client.get_experiment_by_name(EXPERIMENT_NAME)
            if experiment is None:
                raise
            return str(experiment.experiment_id)

    def _tree(self) -> str:
        path = self.root / TREE
        if not path.exists():
            write_text(path, uuid.uuid4().hex)
        return path.read_text()

    def known(self, key: str | None = None) -> dict[tuple[str, str], Any]:
        """(key, weights, or clone while it trains) -> MLflow run, of all or of one key.

        Other weights of one key, from other data or another machine, are a run of their own: their
        numbers must never mix. Of several with the same weights all but one are removed.
        """
        runs: dict[tuple[str, str], Any] = {}
        token, where = None, f"tags.`dmnet.key` = '{key}'" if key else ""
        while True:
            page = self.client.search_runs(
                [self.experiment_id], where, max_results=1000, page_token=token
            )
            for run in page:
                tags = run.data.tags
                identity = (
                    tags.get("dmnet.key", ""),
                    tags.get("dmnet.weights_sha256") or tags.get("dmnet.tree", ""),
                )
                if (other := runs.setdefault(identity, run)) is not run:
                    # Whoever looks, at whatever time, chooses the same one.
                    kept, double = sorted((run, other), key=lambda one: str(one.info.run_id))
                    self._remove(double.info.run_id)
                    runs[identity] = kept
            if not (token := page.token):
                return runs

    def _remove(self, run_id: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.delete_run(run_id)
        except MlflowException:
            if self.client.get_run(run_id).info.lifecycle_stage != "deleted":
                raise

    def write(self, tracked: TrackedRun, old: Any) -> bool:
        """Whether anything was written."""
        from mlflow.exceptions import MlflowException

        for attempt in range(4):
            try:
                return self._write(tracked, old)
            except MlflowException:
                # Removed meanwhile as the double of another, or two wrote the same point at once.
                if attempt == 3:
                    raise
                time.sleep(0.1 * 2**attempt)
                identity = (tracked.run.key, tracked.weights or self.tree)
                old = self.known(tracked.run.key).get(identity)
        raise AssertionError

    def _write(self, tracked: TrackedRun, old: Any) -> bool:
        """The tag `dmnet.record` is set last, so a break is repaired."""
        from mlflow.entities import Metric, Param, RunTag

        tags, digest = dict(tracked.tags), tracked.digest
        if old is not None and old.data.tags.get("dmnet.record") == digest:
            return self._write_changes(tracked, old)
        present: dict[tuple[str, int], float] = {}
        if old is not None:
            present = {
                (name, metric.step): metric.value
                for name in old.data.metrics
                for metric in self.client.get_metric_history(old.info.run_id, name)
            }
            told = {(name, step): value for name, value, step in tracked.points}
            if any(told.get(place, value) != value for place, value in present.items()):
                # Of an earlier attempt with other data, or of an evaluation since corrected.
                self._remove(old.info.run_id)
                old, present = None, {}
        if old is None:
            tags["mlflow.runName"] = tracked.run.label
            old = self._create(tracked)
        run_id = old.info.run_id
        points = list(tracked.points)
        measured = any(name.startswith("system/") for name, _ in present)
        if tracked.weights and not measured and isinstance(tracked.run, Run):
            points += system_points(tracked.run.key, self.root)
        new = [Metric(n, value, 0, step) for n, value, step in points if (n, step) not in present]
        for start in range(0, len(new), BATCH):
            self.client.log_batch(run_id, metrics=new[start : start + BATCH])
        missing = {k: v for k, v in tracked.params.items() if k not in old.data.params}
        if missing:
            self.client.log_batch(run_id, params=[Param(k, v) for k, v in missing.items()])
        tables = [{"path": path, "type": "table"} for path in tracked.tables]
        if tables:
            tags["mlflow.loggedArtifacts"] = json.dumps(tables)
        self.client.log_batch(run_id, tags=[RunTag(k, v) for k, v in tags.items()])
        if tracked.weights:
            self._write_artifacts(tracked, run_id)
            self._write_images(tracked, old)
            self.client.set_terminated(run_id)
        self.client.set_tag(run_id, "dmnet.record", digest)
        return True

    def _create(self, tracked: TrackedRun) -> Any:
        key, value = tracked.run.key, tracked.weights or self.tree
        name = "dmnet.weights_sha256" if tracked.weights else "dmnet.tree"
        made = self.client.create_run(self.experiment_id, tags={"dmnet.key": key, name: value})
        return self.known(key).get((key, value)) or made

    def _write_artifacts(self, tracked: TrackedRun, run_id: str) -> None:
        for path, columns in tracked.tables.items():
            # As MLflow writes a table, but in the place of an earlier one instead of below it.
            rows = [list(row) for row in zip(*columns.values(), strict=True)]
            self.client.log_dict(run_id, {"columns": list(columns), "data": rows}, path)
        for name in (paths.CONFIG, paths.TRAINED):
            self.client.log_artifact(run_id, str(tracked.folder / name))
        trained = read_json(tracked.folder / paths.TRAINED)
        made_by = {"environment": trained.get("environment"), "code": trained.get("code")}
        self.client.log_dict(run_id, made_by, "environment.json")

    def _write_images(self, tracked: TrackedRun, old: Any) -> bool:
        """Predictions may be made long after the run was recorded."""
        if not tracked.weights or "dmnet.images" in old.data.tags:
            return False
        images = predicted_images(tracked.run.key, tracked.weights, self.root)
        run_id = old.info.run_id
        for image in images:
            self.client.log_artifact(run_id, str(image), f"{paths.PREDICTIONS}/{image.parent.name}")
        if images:
            self.client.set_tag(run_id, "dmnet.images", str(len(images)))
        return bool(images)

    def _write_changes(self, tracked: TrackedRun, old: Any) -> bool:
        """Tags and images of a run whose numbers are there."""
        from mlflow.entities import RunTag

        drawn = self._write_images(tracked, old)
        changed = {k: v for k, v in tracked.tags.items() if old.data.tags.get(k) != v}
        if changed:
            self.client.log_batch(old.info.run_id, tags=[RunTag(k, v) for k, v in changed.items()])
        return drawn or bool(changed)
