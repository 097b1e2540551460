# Reports: a published table beside ours, as Markdown and JSON; the claims; an index of all.


localrules:
    report,
    summary,


rule report:
    input:
        lambda wildcards: study.inputs.results_of(wildcards.table),
    output:
        markdown=report(
            "reports/{table}.md", category="Tables", labels={"Table": "{table}"}
        ),
        json="reports/{table}.json",
        metrics="reports/metrics/{table}.json",
        points="reports/metrics/{table}.csv",
        curves="reports/metrics/{table}-curves.csv",
    params:
        content=lambda wildcards: study.hashes.report(wildcards.table),
    message:
        "Writing {output.markdown}"
    shell:
        "{study.python} -m pipeline report {wildcards.table} {study.options} --complete "
        "--folder $(dirname {output.json})"


rule summary:
    input:
        expand("reports/{table}.json", table=study.jobs.tables),
        expand("reports/{figure}.json", figure=study.jobs.figures),
    output:
        claims="reports/claims.md",
        claims_json="reports/claims.json",
        index="reports/index.md",
    params:
        content=lambda wildcards: study.hashes.summary(),
    message:
        "Writing {output.claims} and {output.index}"
    shell:
        "{study.python} -m pipeline summary {study.options} --folder $(dirname {output.index})"
