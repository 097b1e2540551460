"""Where the record is: a team's server, or this folder."""

from __future__ import annotations

import os

DEFAULT_URI = "sqlite:///mlflow.db"
ARTIFACTS = "mlartifacts"  # beside it


def team_server() -> str | None:
    """The address in MLFLOW_TRACKING_URI; None where it is not set or blank."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").strip() or None
