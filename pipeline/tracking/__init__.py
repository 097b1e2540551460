"""MLflow: every run with its parameters, curves, results and tags, while it trains and after.

    ingestion   one call: which runs, in which order, until when
    store       the experiment in MLflow: found, written, doubles removed
    place       a team's server, or this folder
    runs        what of a run's files MLflow is told
    server      the process that serves MLflow's pages: `gate`, who gets in, before `pages`, the
                calls of MLflow's server that are answered at all

The only package that imports mlflow. Ingestion reads the files of `runs/` and may be repeated, run
late, on another machine or by many at once: an MLflow run is found by key and weights (while it
trains: by key and clone), every point has time 0, so that MLflow itself refuses a second one, and
of two that were created at the same moment all sides keep the same one.

The one setting is MLflow's own: MLFLOW_TRACKING_URI (default sqlite:///mlflow.db, artifacts in
mlartifacts/). A password in it is neither printed nor recorded.
"""

from pipeline.tracking.ingestion import ingest
from pipeline.tracking.place import team_server

__all__ = ["ingest", "team_server"]
