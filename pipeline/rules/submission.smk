# The archive for a test server, packed from the predictions on its images. Asked for by name only:
# snakemake --cores all reports/table7-submission.json


rule submission:
    input:
        predictions=lambda wildcards: study.jobs.submission(wildcards.table).predictions,
    output:
        paths.report("{table}-submission", "json"),
    params:
        content=lambda wildcards: study.hashes.submission(wildcards.table),
    message:
        "Packing the submission of {wildcards.table}"
    shell:
        "{study.python} -m pipeline submission {wildcards.table} {study.options} "
        "--predictions {input.predictions} --folder $(dirname {output})"
