"""Writes the finished and training runs that MLflow does not have yet, until a deadline."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmnet.addresses import place_of
from dmnet.errors import DMNetError
from dmnet.lock import open_lock, try_lock
from pipeline import paths
from pipeline.dvc.entries import printable
from pipeline.errors import RecordError
from pipeline.escaping import few
from pipeline.experiments import Experiment, Release, Run
from pipeline.redaction import without_secrets
from pipeline.tracking.place import DEFAULT_URI, team_server
from pipeline.tracking.runs import folder_of, read_finished, read_training
from pipeline.tracking.store import Store

ANSWER = 30  # seconds that a server has for a call: a dozen clones at once keep a small one waiting
STALLED = 60  # seconds without a written run after which a database is taken for hanging


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
    finished = [run for run in asked if (root / folder_of(run) / paths.TRAINED).exists()]
    others = [run for run in asked if live and isinstance(run, Run) and run not in finished]
    training = [run for run in others if (root / paths.history(run.key)).exists()]
    if not finished and not live:  # live: the database is made in any case, by one process alone
        return "MLflow: no finished run to record"
    work = Ingestion(experiment, finished, training, root)
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
    if work.damaged:
        named = "; ".join(f"{folder}: {reason}" for folder, reason in sorted(work.damaged.items()))
        raise RecordError(
            f"MLflow: {len(work.done)} of {len(finished)} finished runs are recorded, {new}{also}, "
            f"and not what is damaged: {named}; `python -m pipeline verify` says what to do"
        )
    return f"MLflow: {len(finished)} finished runs, {new}{also}"


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, DMNetError) else f"{type(error).__name__}: {error}"
    return printable(text.partition("; ")[0])[:300]


@dataclass
class Ingestion:
    """One call of `ingest`; `run` is called in a thread of its own."""

    experiment: Experiment
    finished: list[Run | Release]
    training: list[Run]
    root: Path

    def __post_init__(self) -> None:
        self.uri = team_server() or DEFAULT_URI
        self.stop = threading.Event()
        self.error: Exception | None = None
        self.done: set[str] = set()
        self.damaged: dict[str, str] = {}  # folder of a run -> why its files could not be read
        self.written = 0
        self._moved = time.monotonic()

    @property
    def stalled(self) -> bool:
        # A server's every call has its own limit, and SQLite is this machine's own: slow when it
        # is busy, but there.
        database = not self._is_file and not self.uri.startswith(("http://", "https://"))
        return database and time.monotonic() - self._moved > STALLED

    @property
    def _is_file(self) -> bool:
        return self.uri.startswith("sqlite:///")

    def failure(self, reason: str) -> RecordError:
        undone = [run.key for run in self.finished if run.key not in self.done]
        named = few(undone, 3) or "none"
        told = without_secrets(reason, self.uri)  # as a whole: a cut secret is not found any more
        first = next(iter(told.splitlines()), "no reason given")[:200]
        return RecordError(
            f"MLflow at {place_of(self.uri)}: {first}; {len(undone)} of "
            f"{len(self.finished)} finished runs not recorded ({named}); the runs are "
            "unharmed, give `python -m pipeline record` when it is back"
        )

    def run(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # A server that is down must not hold anybody for minutes: the record can be made later.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(ANSWER))
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
                if self._is_file:
                    self._make_whole(mlflow.MlflowClient)
                self._ingest(Store(mlflow.MlflowClient(tracking_uri=self.uri), self.root))
        except (MlflowException, SQLAlchemyError, OSError, DMNetError) as error:
            self.error = error
        except Exception as error:
            # An answer that is none (a proxy's page, say) fails wherever it is first used.
            self.error = MlflowException(f"{type(error).__name__}: {error}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """SQLite takes one writer, and a fresh file breaks if two create its tables."""
        if not self._is_file:
            yield
            return
        path = self.root / f"{self.uri.removeprefix('sqlite:///')}-lock"
        with open_lock(path) as stream:
            while not self.stop.is_set() and not try_lock(stream, path):
                time.sleep(0.05)
            yield

    def _make_whole(self, client: Callable[..., Any]) -> None:
        """A fresh database gets its name with its last table: MLflow cannot complete half."""
        path = self.root / self.uri.removeprefix("sqlite:///")
        if path.exists():
            return
        unfinished = path.with_name(f"{path.name}-unfinished")
        for name in (unfinished, Path(f"{unfinished}-journal")):
            name.unlink(missing_ok=True)
        client(tracking_uri=f"sqlite:///{unfinished}").search_experiments()
        unfinished.replace(path)

    def _ingest(self, store: Store) -> None:
        from mlflow.exceptions import MlflowException

        known = store.known()
        created = False
        work = [(run, read_finished) for run in self.finished]
        work += [(run, read_training) for run in self.training]  # type: ignore[misc]
        for run, read in work:
            if self.stop.is_set():
                return
            try:
                tracked = read(self.experiment, run, self.root)
                identity = (run.key, tracked.weights or store.tree)
                old = known.get(identity) or known.get((run.key, store.tree))
                created |= old is None
                self.written += store.write(tracked, old)
            except (DMNetError, MlflowException) as error:
                # This run's alone: its files are not what they should be, or a value is none that
                # a server takes.
                code = getattr(error, "error_code", "INVALID_PARAMETER_VALUE")
                if code != "INVALID_PARAMETER_VALUE":
                    raise
                self.damaged[folder_of(run)] = _reason(error)
                continue
            self.done.add(run.key)
            self._moved = time.monotonic()
        if created:
            store.known()  # removes what others created at the same moment
