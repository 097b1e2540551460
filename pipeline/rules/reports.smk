# Reports: a published table beside ours, as Markdown and JSON; the claims; an index of all.


localrules:
    report,
    summary,


rule report:
    input:
        lambda wildcards: study.inputs.results_of(wildcards.table),
    output:
        markdown=report(
            paths.report("{table}"), category="Tables", labels={"Table": "{table}"}
        ),
        json=paths.report("{table}", "json"),
        metrics=paths.metrics("{table}", "json"),
        points=paths.metrics("{table}", "csv"),
        curves=paths.curves("{table}"),
    params:
        content=lambda wildcards: study.hashes.report(wildcards.table),
    message:
        "Writing {output.markdown}"
    shell:
        "{study.python} -m pipeline report {wildcards.table} {study.options} --complete "
        "--folder $(dirname {output.json})"


rule summary:
    input:
        [paths.report(table, "json") for table in study.jobs.tables],
        [paths.report(figure, "json") for figure in study.jobs.figures],
    output:
        claims=paths.report("claims"),
        claims_json=paths.report("claims", "json"),
        index=paths.report("index"),
    params:
        content=lambda wildcards: study.hashes.summary(),
    message:
        "Writing {output.claims} and {output.index}"
    shell:
        "{study.python} -m pipeline summary {study.options} --folder $(dirname {output.index})"
