"""MLflow: every run with its parameters, curves, results and tags, while it trains and after.

The only module that imports mlflow. Ingestion reads the files of `runs/` and may be repeated, run
late, on another machine or by many at once: an MLflow run is found by key and weights (while it
trains: by key and clone), every point has time 0, so that MLflow itself refuses a second one, and
of two that were created at the same moment all sides keep the same one.

The one setting is MLflow's own: MLFLOW_TRACKING_URI (default sqlite:///mlflow.db, artifacts in
mlartifacts/). A password in it is neither printed nor recorded.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dmnet.errors import DMNetError
from dmnet.files import read_json, write_text
from pipeline.errors import RecordError
from pipeline.experiments import Experiment, Release, Run
from pipeline.passwords import without_secrets
from pipeline.tracked_run import (
    TrackedRun,
    folder_of,
    predicted_images,
    read_finished,
    read_training,
    system_points,
)

DEFAULT_URI = "sqlite:///mlflow.db"
EXPERIMENT_NAME = "dmnet"
KIND = "mlflow.experimentKind"  # which of its two faces MLflow shows
BATCH = 900  # MLflow takes at most 1000 metrics in one call
FIRST_ANSWER = 5  # seconds that a server has for the first call
ANSWER = 20  # and for each later one
STALLED = 60  # seconds without any progress after which a server is taken for hanging
TREE = "runs/.locks/clone"  # names this clone among those that train the same run; a random number


def ingest(
    experiment: Experiment,
    keys: set[str],
    root: Path = Path("."),
    live: bool = False,
    limit: float = 900,
) -> str:
    """Write what MLflow does not have yet of the runs `keys`; returns one line for people.

    `experiment` has all tables, so that a run's tags name every cell that it serves.
    live: also the curves of runs that are not finished. limit: seconds for all of it; what is
    undone by then is said in the error. Raises RecordError when the store cannot be reached or
    written, or not in time.
    """
    everything: list[Run | Release] = [*experiment.runs.values(), *experiment.releases.values()]
    asked = [run for run in everything if run.key in keys]
    finished = [run for run in asked if (root / folder_of(run) / "train.json").exists()]
    training = [
        run
        for run in asked
        if live
        and isinstance(run, Run)
        and run not in finished
        and (root / folder_of(run) / "history.jsonl").exists()
    ]
    if not finished and not live:  # live: the database is made in any case, by one process alone
        return "MLflow: no finished run to record"
    work = _Ingestion(experiment, finished, training, root)
    # In a thread: a database that hangs while a connection is made cannot be interrupted otherwise.
    thread = threading.Thread(target=work.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + limit
    while thread.is_alive() and not work.stalled and time.monotonic() < deadline:
        thread.join(0.1)
    late = thread.is_alive()
    work.stop.set()
    if late and work.error is None:
        reason = f"no answer for {STALLED} s" if work.stalled else f"not done within {limit:.0f} s"
        raise work.failure(reason)
    if work.error is not None:
        if isinstance(work.error, DMNetError):
            raise work.error
        raise work.failure(str(work.error)) from work.error
    new = f"{work.written} newly recorded or brought up to date"
    also = f", {len(training)} in training" if training else ""
    return f"MLflow: {len(finished)} finished runs, {new}{also}"


class _Ingestion:
    """One call of `ingest`; `run` is called in a thread of its own."""

    def __init__(
        self,
        experiment: Experiment,
        finished: list[Run | Release],
        training: list[Run],
        root: Path,
    ) -> None:
        self.experiment, self.finished, self.training, self.root = (
            experiment,
            finished,
            training,
            root,
        )
        self.uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
        self.stop = threading.Event()
        self.error: Exception | None = None
        self.done: set[str] = set()
        self.written = 0
        self._moved = time.monotonic()

    @property
    def stalled(self) -> bool:
        # SQLite is this machine's own: slow when it is busy, but there.
        return not self._is_file and time.monotonic() - self._moved > STALLED

    @property
    def _is_file(self) -> bool:
        return self.uri.startswith("sqlite:///")

    def failure(self, reason: str) -> RecordError:
        undone = [run.key for run in self.finished if run.key not in self.done]
        named = ", ".join(undone[:3]) + (f" and {len(undone) - 3} more" if len(undone) > 3 else "")
        told = without_secrets(reason, self.uri)  # as a whole: a cut secret is not found any more
        first = next(iter(told.splitlines()), "no reason given")[:200]
        return RecordError(
            f"MLflow at {without_secrets(self.uri)}: {first}; {len(undone)} of "
            f"{len(self.finished)} finished runs not recorded ({named or 'none'}); the runs are "
            "unharmed, give `python -m pipeline record` when it is back"
        )

    def run(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # A server that is down must not hold anybody for minutes: the record can be made later.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        own_timeout = "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        import mlflow
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        self._moved = time.monotonic()
        try:
            with self._alone():
                if self.stop.is_set():
                    return
                if own_timeout:
                    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(FIRST_ANSWER)
                store = _Store(mlflow.MlflowClient(tracking_uri=self.uri), self.root)
                if own_timeout:
                    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(ANSWER)
                self._ingest(store)
        except (MlflowException, SQLAlchemyError, OSError, DMNetError) as error:
            self.error = error
        except Exception as error:
            # An answer that is none (a proxy's page, say) fails wherever it is first used.
            self.error = MlflowException(f"{type(error).__name__}: {error}")
        finally:
            if own_timeout:
                os.environ.pop("MLFLOW_HTTP_REQUEST_TIMEOUT", None)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """SQLite takes one writer, and a fresh file breaks if two create its tables."""
        if not self._is_file:
            yield
            return
        path = self.root / f"{self.uri.removeprefix('sqlite:///')}-lock"
        with path.open("a") as stream:
            while not self.stop.is_set():
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.05)
            yield

    def _ingest(self, store: _Store) -> None:
        known = store.known()
        created = False
        work = [(run, read_finished) for run in self.finished]
        work += [(run, read_training) for run in self.training]  # type: ignore[misc]
        for run, read in work:
            if self.stop.is_set():
                return
            tracked = read(self.experiment, run, self.root)
            identity = (run.key, tracked.weights or store.tree)
            old = known.get(identity) or known.get((run.key, store.tree))
            created |= old is None
            self.written += store.write(tracked, old)
            self.done.add(run.key)
            self._moved = time.monotonic()
        if created:
            store.known()  # removes what others created at the same moment


class _Store:
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
        location = None
        if "MLFLOW_TRACKING_URI" not in os.environ:
            location = (self.root / "mlartifacts").resolve().as_uri()
        try:
            face = {KIND: "custom_model_development"}
            return str(self.client.create_experiment(EXPERIMENT_NAME, location, face))
        except MlflowException:
            found = self.client.get_experiment_by_name(EXPERIMENT_NAME)  # created by somebody else
            if found is None:
                raise
            return str(found.experiment_id)

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
        found: dict[tuple[str, str], Any] = {}
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
                other = found.get(identity)
                if other is not None:
                    # Whoever looks, at whatever time, chooses the same one.
                    kept, double = sorted((run, other), key=lambda one: str(one.info.run_id))
                    self._remove(double.info.run_id)
                    found[identity] = kept
                else:
                    found[identity] = run
            token = page.token
            if not token:
                return found

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
            present = self._present(old)
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
        kept = self.known(key).get((key, value))
        return made if kept is None else kept

    def _write_artifacts(self, tracked: TrackedRun, run_id: str) -> None:
        for path, columns in tracked.tables.items():
            # As MLflow writes a table, but in the place of an earlier one instead of below it.
            rows = [list(row) for row in zip(*columns.values(), strict=True)]
            self.client.log_dict(run_id, {"columns": list(columns), "data": rows}, path)
        for name in ("config.json", "train.json"):
            self.client.log_artifact(run_id, str(tracked.folder / name))
        trained = read_json(tracked.folder / "train.json")
        made_by = {"environment": trained.get("environment"), "code": trained.get("code")}
        self.client.log_dict(run_id, made_by, "environment.json")

    def _write_images(self, tracked: TrackedRun, old: Any) -> bool:
        """Predictions may be made long after the run was recorded."""
        if not tracked.weights or "dmnet.images" in old.data.tags:
            return False
        images = predicted_images(tracked.run.key, tracked.weights, self.root)
        run_id = old.info.run_id
        for image in images:
            self.client.log_artifact(run_id, str(image), f"predictions/{image.parent.name}")
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

    def _present(self, run: Any) -> dict[tuple[str, int], float]:
        return {
            (name, metric.step): metric.value
            for name in run.data.metrics
            for metric in self.client.get_metric_history(run.info.run_id, name)
        }
