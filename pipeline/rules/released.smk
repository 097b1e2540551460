# Released checkpoints (--config source=released): fetched, verified, imported, evaluated.
# With --config mirror=DIR they are taken from a folder, and nothing is downloaded.


localrules:
    resolve_release,
    import_release,  # a cluster's nodes seldom reach the network


rule resolve_release:
    output:
        paths.config("{key}", paths.RELEASED),
    params:
        content=lambda wildcards: study.hashes.release(wildcards.key),
    message:
        "Resolving {output}"
    shell:
        "{study.python} -m pipeline resolve {wildcards.key} {study.options} --output {output}"


rule import_release:
    input:
        config=lambda wildcards: study.inputs.config_of(
            wildcards.key, ancient, paths.RELEASED
        ),
    output:
        paths.trained("{key}", paths.RELEASED),
    log:
        paths.log(paths.trained("{key}", paths.RELEASED)),
    resources:
        downloads=1,
        checkpoint=lambda wildcards: study.jobs.release(
            wildcards.key
        ).job.run.checkpoint.name,
    message:
        "Importing {resources.checkpoint}"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet import --config {input.config} "
        "--output $(dirname {output}) --fetch {study.from_mirror} --label {wildcards.key} "
        "--repeat 'snakemake --cores all {output} {study.repeat}'"


rule evaluate_release:
    input:
        unpack(
            lambda wildcards: study.inputs.of_result(
                paths.evaluation(wildcards.key, wildcards.evaluation, paths.RELEASED),
                ancient,
            )
        ),
    output:
        paths.evaluation("{key}", "{evaluation}", paths.RELEASED),
    log:
        paths.log(paths.evaluation("{key}", "{evaluation}", paths.RELEASED)),
    threads: study.preset.cpu_threads
    resources:
        gpu=study.preset.gpus,
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
        runtime=lambda wildcards, attempt: study.resources.estimates.released_minutes(
            attempt
        ),
    params:
        config=lambda wildcards: study.jobs.evaluation_json(
            wildcards.key, wildcards.evaluation
        ),
    message:
        "Evaluating released checkpoint {wildcards.key} ({wildcards.evaluation})"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet evaluate --run released/{wildcards.key} "
        "--config {params.config:q} --data $(dirname {input.data}) --output {output} --label {wildcards.key}"
