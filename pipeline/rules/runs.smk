# Runs: one training per key, whatever number of cells it serves, and its evaluations; profiles and
# measurements of speed, which need no training.


localrules:
    resolve,


rule resolve:
    output:
        paths.config("{key}"),
    params:
        content=lambda wildcards: study.hashes.job(wildcards.key),
    message:
        "Resolving run {wildcards.key}"
    shell:
        "{study.python} -m pipeline resolve {wildcards.key} {study.options} --output {output}"


rule train:
    input:
        unpack(lambda wildcards: study.inputs.of_training(wildcards.key, ancient)),
        config=lambda wildcards: study.inputs.config_of(wildcards.key, ancient),
    output:
        paths.trained("{key}"),
    log:
        paths.log(paths.trained("{key}")),
    benchmark:
        paths.benchmark("{key}")
    threads: study.preset.training_threads
    resources:
        gpu=study.preset.training_gpus,
        nodes=study.preset.execution.nodes,
        tasks=study.preset.execution.nodes,  # one launcher on each
        tasks_per_gpu=0,  # not said to sbatch: one launcher has several GPUs
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
        runtime=lambda wildcards, attempt: study.resources.estimates.training_minutes(
            study.jobs.run(wildcards.key).job.run, attempt
        ),
        # Shown, not tracked: a cell's name may change without a training being out of date.
        cells=lambda wildcards: ", ".join(study.jobs.run(wildcards.key).cells),
    message:
        "Training {wildcards.key}: {resources.cells}"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet train --config {input.config} "
        "--data $(dirname {input.data}) --label {wildcards.key} "
        "--repeat 'snakemake --cores all {output} {study.repeat}'"


rule evaluate:
    input:
        unpack(
            lambda wildcards: study.inputs.of_result(
                paths.evaluation(wildcards.key, wildcards.evaluation), ancient
            )
        ),
    output:
        paths.evaluation("{key}", "{evaluation}"),
    log:
        paths.log(paths.evaluation("{key}", "{evaluation}")),
    threads: study.preset.cpu_threads
    resources:
        gpu=study.preset.gpus,
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
        runtime=lambda wildcards, attempt: study.resources.estimates.evaluation_minutes(
            study.jobs.run(wildcards.key).job.run, attempt
        ),
    params:
        config=lambda wildcards: study.jobs.evaluation_json(
            wildcards.key, wildcards.evaluation
        ),
    message:
        "Evaluating {wildcards.key} ({wildcards.evaluation})"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet evaluate --run runs/{wildcards.key} "
        "--config {params.config:q} --data $(dirname {input.data}) --output {output} --label {wildcards.key}"


rule profile:
    output:
        paths.count("{key}"),
    log:
        paths.log(paths.count("{key}")),
    params:
        config=lambda wildcards: study.jobs.profile_json(wildcards.key),
    message:
        "Counting {wildcards.key}"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet profile --config {params.config:q} "
        "--output {output}"


rule speed:
    output:
        paths.speed("{key}"),
    log:
        paths.log(paths.speed("{key}")),
    threads: lambda wildcards: study.resources.all_cores(workflow)
    resources:
        gpu=study.preset.gpus,
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
    params:
        config=lambda wildcards: study.jobs.speed_json(wildcards.key),
    message:
        "Measuring the speed of {wildcards.key}"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet speed --config {params.config:q} "
        "--output {output}"
