# One page of everything: reports/overview.html, and `snakemake --report reports/report.html`,
# which opens with that page.


# Shown first in Snakemake's own report.
report: "../reports/html/templates/landing.rst"


localrules:
    page,


rule page:
    input:
        [paths.report(table, "json") for table in study.jobs.tables],
        [paths.report(figure, "png") for figure in study.jobs.figures],
        paths.report("claims", "json"),
    output:
        report(
            paths.report("overview", "html"),
            caption="../reports/html/templates/overview.rst",
            category="Overview",
            labels={"Page": "Published against ours"},
        ),
    params:
        content=study.hashes.page(),
    message:
        "Writing {output}"
    shell:
        "{study.python} -m pipeline page {study.options} --folder $(dirname {output})"
