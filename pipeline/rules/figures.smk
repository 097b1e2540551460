# Figures: the label maps of the models that a figure compares, and the figure drawn from them.


rule predict:
    input:
        trained=lambda wildcards: study.inputs.weights_of(
            f"predictions/{wildcards.key}/{wildcards.evaluation}.json",
            ancient,
        ),
        data=lambda wildcards: study.inputs.prediction_data(
            wildcards.key, wildcards.evaluation, ancient
        ),
    output:
        "predictions/{key}/{evaluation}.json",  # names the PNGs beside it by SHA-256
    log:
        "logs/predictions/{key}/{evaluation}.log",
    threads: study.resources.cpu_threads
    resources:
        gpu=study.resources.gpus,
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
        runtime=lambda wildcards, attempt: study.resources.evaluation_minutes(
            wildcards.key, attempt
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
        image="reports/{figure}.png",
        caption="reports/{figure}.md",
        json="reports/{figure}.json",
    params:
        content=lambda wildcards: study.hashes.figure(wildcards.figure),
    message:
        "Drawing {output.image}"
    shell:
        "{study.python} -m pipeline figure {wildcards.figure} {study.options} "
        "--folder $(dirname {output.json})"
