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
        content=lambda wildcards: study.report_hash(wildcards.table),
    message:
        "Writing {output.markdown}"
    shell:
        "{study.python} -m pipeline report {wildcards.table} {study.options} "
        "--folder $(dirname {output.json})"
