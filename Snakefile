# From the cells of params/tables to reports/: prepare data, train, evaluate, report.
# Rule bodies are thin; what they call is in pipeline/ and dmnet/ and is tested there.
#
#   snakemake --cores all reports/table2.md
#   snakemake --cores all reports/table2.md --config preset=small sources=/path/to/datasets

import atexit

from pipeline import paths
from pipeline.workflow import Study


# Wherever Snakemake was started: all paths are the clone's.
workdir: workflow.basedir


study = Study(config, in_job=not workflow.is_main_process, clone=Path(workflow.basedir))


wildcard_constraints:
    dataset="[^/]+",
    key=paths.KEY,
    evaluation="[^/]+",
    table=r"(?!(claims|index|fidelity|figure\d+)\.)[a-z0-9_]+",
    figure=r"figure\d+",


# A limit on GPUs (profiles/default) is this machine's: jobs on a cluster are the cluster's to queue.
resource_scopes:
    gpu="local",


rule reports:
    input:
        [
            paths.report(name)
            for name in (*study.jobs.tables, "claims", "index", "fidelity")
        ],
        [paths.report(figure, "png") for figure in study.jobs.figures],
        paths.report("overview", "html"),
    message:
        "All reports are up to date"


include: "pipeline/rules/data.smk"
include: "pipeline/rules/runs.smk"
include: "pipeline/rules/released.smk"
include: "pipeline/rules/reports.smk"
include: "pipeline/rules/figures.smk"
include: "pipeline/rules/fidelity.smk"
include: "pipeline/rules/submission.smk"
include: "pipeline/rules/page.smk"
include: "pipeline/rules/records.smk"
