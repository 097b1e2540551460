# One page of everything: reports/overview.html, and `snakemake --report reports/report.html`,
# which opens with that page.


# Shown first in Snakemake's own report.
report: "../reports/html/templates/landing.rst"


localrules:
    page,


rule page:
    input:
        expand("reports/{table}.json", table=study.jobs.tables),
        expand("reports/{figure}.png", figure=study.jobs.figures),
        "reports/claims.json",
    output:
        report(
            "reports/overview.html",
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
