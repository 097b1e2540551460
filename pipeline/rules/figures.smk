# Figures: the label maps of the models that a figure compares, and the figure drawn from them.


rule predict:
    input:
        unpack(
            lambda wildcards: study.inputs.of_result(
                paths.prediction(wildcards.key, wildcards.evaluation), ancient
            )
        ),
    output:
        paths.prediction("{key}", "{evaluation}"),  # names the PNGs beside it by SHA-256
    log:
        paths.log(paths.prediction("{key}", "{evaluation}")),
    threads: study.preset.cpu_threads
    resources:
        gpu=study.preset.gpus,
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
        runtime=lambda wildcards, attempt: study.resources.estimates.evaluation_minutes(
            study.jobs.run(wildcards.key).job.run, attempt
        ),
    params:
        config=lambda wildcards: study.jobs.prediction_json(
            wildcards.key, wildcards.evaluation
        ),
    message:
        "Predicting with {wildcards.key} ({wildcards.evaluation})"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet predict --run runs/{wildcards.key} "
        "--config {params.config:q} --data $(dirname {input.data}) --output {output} "
        "--label {wildcards.key}"


rule figure:
    input:
        lambda wildcards: study.jobs.figure(wildcards.figure).inputs,
    output:
        image=paths.report("{figure}", "png"),
        caption=paths.report("{figure}"),
        json=paths.report("{figure}", "json"),
    params:
        content=lambda wildcards: study.hashes.figure(wildcards.figure),
    message:
        "Drawing {output.image}"
    shell:
        "{study.python} -m pipeline figure {wildcards.figure} {study.options} "
        "--folder $(dirname {output.json})"
