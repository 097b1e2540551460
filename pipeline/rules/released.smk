# Released checkpoints (--config source=released): fetched, verified, imported, evaluated.
# With --config mirror=DIR they are taken from a folder, and nothing is downloaded.


localrules:
    resolve_release,
    import_release,  # a cluster's nodes seldom reach the network


rule resolve_release:
    output:
        "released/{key}/config.json",
    params:
        content=lambda wildcards: study.hashes.release(wildcards.key),
    message:
        "Resolving {output}"
    shell:
        "{study.python} -m pipeline resolve {wildcards.key} {study.options} --output {output}"


rule import_release:
    input:
        config=ancient("released/{key}/config.json"),
    output:
        "released/{key}/train.json",
    log:
        "logs/released/{key}/import.log",
    resources:
        downloads=1,
        checkpoint=lambda wildcards: study.jobs.checkpoint_of(wildcards.key),
    message:
        "Importing {resources.checkpoint}"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet import --config {input.config} "
        "--output $(dirname {output}) --fetch {study.from_mirror} --label {wildcards.key} "
        "--repeat 'snakemake --cores all {output} {study.repeat}'"


rule evaluate_release:
    input:
        trained=lambda wildcards: study.inputs.weights_of(
            f"released/{wildcards.key}/evaluations/{wildcards.evaluation}.json",
            ancient,
            kind="released",
        ),
        data=lambda wildcards: study.inputs.evaluation_data(
            wildcards.key, wildcards.evaluation, ancient, kind="released"
        ),
    output:
        "released/{key}/evaluations/{evaluation}.json",
    log:
        "logs/released/{key}/{evaluation}.log",
    threads: study.resources.cpu_threads
    resources:
        gpu=study.resources.gpus,
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
        runtime=lambda wildcards, attempt: study.resources.released_minutes(attempt),
    params:
        config=lambda wildcards: study.jobs.evaluation_json(
            wildcards.key, wildcards.evaluation
        ),
    message:
        "Evaluating released checkpoint {wildcards.key} ({wildcards.evaluation})"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet evaluate --run released/{wildcards.key} "
        "--config {params.config:q} --data $(dirname {input.data}) --output {output} --label {wildcards.key}"
