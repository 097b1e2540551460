"""MLflow's pages and tracking API, and nothing else that its server can do.

Its server also has an assistant that runs commands, a gateway to language models, jobs, web hooks
and more. None of it is there to be asked: this is an application of its own, to which the calls
named here are added one by one. What a later MLflow brings is not in it.
"""

from __future__ import annotations

from flask import Flask

from pipeline.errors import RecordError

# Of both API's prefixes: the client's and the page's own.
PREFIXES = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
READING = {
    "/experiments/search": ("GET", "POST"),
    "/experiments/get": ("GET",),
    "/experiments/get-by-name": ("GET",),
    "/runs/get": ("GET",),
    "/runs/search": ("POST",),
    "/metrics/get-history": ("GET",),
    "/metrics/get-history-bulk-interval": ("GET",),
    "/artifacts/list": ("GET",),
    "/logged-models/search": ("POST",),
    "/registered-models/search": ("GET",),
    "/model-versions/search": ("GET",),
}
# Not among them: what makes an experiment or an artifact, as its place may be any file of the user.
CHANGING = {
    "/experiments/update": ("POST",),
    "/experiments/delete": ("POST",),
    "/experiments/restore": ("POST",),
    "/experiments/set-experiment-tag": ("POST",),
    "/experiments/delete-experiment-tag": ("POST",),
    "/runs/create": ("POST",),
    "/runs/update": ("POST",),
    "/runs/delete": ("POST",),
    "/runs/restore": ("POST",),
    "/runs/log-metric": ("POST",),
    "/runs/log-parameter": ("POST",),
    "/runs/log-batch": ("POST",),
    "/runs/set-tag": ("POST",),
    "/runs/delete-tag": ("POST",),
}
PAGE = {
    "/": ("GET",),
    "/static-files/<path:path>": ("GET",),
    "/version": ("GET",),
    "/get-artifact": ("GET",),
    "/graphql": ("GET", "POST"),
    "/ajax-api/2.0/mlflow/metrics/get-history-bulk": ("GET",),
    "/ajax-api/2.0/mlflow/experiments/search-datasets": ("POST",),
    "/ajax-api/3.0/mlflow/server-info": ("GET",),
}
ANSWERED: dict[str, tuple[str, ...]] = {
    **{prefix + path: how for prefix in PREFIXES for path, how in (READING | CHANGING).items()},
    **PAGE,
}
# The fields of GraphQL, which the page of a run asks; all of them read.
FIELDS = frozenset(
    {
        *("mlflowGetExperiment", "mlflowGetMetricHistoryBulkInterval", "mlflowGetRun"),
        *("mlflowListArtifacts", "mlflowSearchModelVersions", "mlflowSearchRuns"),
        *("mlflowSearchDatasets", "test", "testMutation"),
    }
)


def application(store: str, artifacts: str) -> Flask:
    """The pages of the store at the address `store`; `artifacts`: its default folder.

    Raises RecordError where this MLflow's GraphQL has fields that are not known here.
    """
    from mlflow.server import app
    from mlflow.server.handlers import initialize_backend_stores

    if unknown := sorted(graphql_fields() - FIELDS):
        raise RecordError(
            f"MLflow's GraphQL has fields that were not looked at ({', '.join(unknown)}); "
            "install the version of requirements.lock"
        )
    initialize_backend_stores(store, default_artifact_root=artifacts)
    return answered(app)


def answered(server: Flask) -> Flask:
    """A new application with those calls of MLflow's own `server` that are named here."""
    pages = Flask(__name__, static_folder=None)
    for rule in server.url_map.iter_rules():
        methods = (rule.methods or set()) & set(ANSWERED.get(rule.rule, ()))
        if methods:
            view = server.view_functions[rule.endpoint]
            pages.add_url_rule(
                rule.rule, rule.endpoint, view, methods=methods, provide_automatic_options=False
            )
    return pages


def graphql_fields() -> set[str]:
    from mlflow.server.graphql.graphql_schema_extensions import schema

    roots = (schema.graphql_schema.query_type, schema.graphql_schema.mutation_type)
    return {name for root in roots if root is not None for name in root.fields}
