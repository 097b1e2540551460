"""After the jobs: what DVC stores, what MLflow is told, and what goes to and from a remote."""
