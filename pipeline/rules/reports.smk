# Reports: a published table beside ours, as Markdown and JSON.


rule report:
    input:
        lambda wildcards: study.results_of(wildcards.table),
    output:
        markdown="reports/{table}.md",
        json="reports/{table}.json",
        metrics="reports/metrics/{table}.json",
        points="reports/metrics/{table}.csv",
    params:
        options=study.options,
        content=lambda wildcards: study.report_hash(wildcards.table),
    message:
        "Writing {output.markdown}"
    shell:
        "{study.python} -m pipeline report {wildcards.table} {params.options} "
        "--folder $(dirname {output.json})"


rule reports:
    default_target: True
    input:
        expand("reports/{table}.md", table=study.tables),
    message:
        "All reports are up to date"
