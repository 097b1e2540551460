# Runs: one training per key, whatever number of cells it serves, and its evaluations; profiles and
# measurements of speed, which need no training.


localrules:
    resolve,


rule resolve:
    output:
        "runs/{key}/config.json",
    params:
        content=lambda wildcards: study.hashes.job(wildcards.key),
    message:
        "Resolving run {wildcards.key}"
    shell:
        "{study.python} -m pipeline resolve {wildcards.key} {study.options} --output {output}"


rule train:
    input:
        # Ancient: the key already names all of it that changes weights.
        config=ancient("runs/{key}/config.json"),
        data=lambda wildcards: study.inputs.data_of(wildcards.key, ancient),
        parent=lambda wildcards: study.inputs.parent(wildcards.key, ancient),
    output:
        "runs/{key}/train.json",
    log:
        "logs/runs/{key}/train.log",
    benchmark:
        "benchmarks/{key}/train.tsv"
    threads: study.resources.training_threads
    resources:
        gpu=study.resources.training_gpus,
        nodes=study.resources.nodes,
        tasks=study.resources.nodes,  # one launcher on each
        tasks_per_gpu=0,  # not said to sbatch: one launcher has several GPUs
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
        runtime=lambda wildcards, attempt: study.resources.training_minutes(
            wildcards.key, attempt
        ),
        # Shown, not tracked: a cell's name may change without a training being out of date.
        cells=lambda wildcards: study.jobs.cells_of(wildcards.key),
    message:
        "Training {wildcards.key}: {resources.cells}"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet train --config {input.config} "
        "--data $(dirname {input.data}) --label {wildcards.key} "
        "--repeat 'snakemake --cores all {output} {study.repeat}'"


rule evaluate:
    input:
        trained=lambda wildcards: study.inputs.weights_of(
            f"runs/{wildcards.key}/evaluations/{wildcards.evaluation}.json",
            ancient,
        ),
        data=lambda wildcards: study.inputs.evaluation_data(
            wildcards.key, wildcards.evaluation, ancient
        ),
    output:
        "runs/{key}/evaluations/{evaluation}.json",
    log:
        "logs/runs/{key}/{evaluation}.log",
    threads: study.resources.cpu_threads
    resources:
        gpu=study.resources.gpus,
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
        runtime=lambda wildcards, attempt: study.resources.evaluation_minutes(
            wildcards.key, attempt
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
        "counts/{key}.json",
    log:
        "logs/counts/{key}.log",
    params:
        config=lambda wildcards: study.jobs.profile_json(wildcards.key),
    message:
        "Counting {wildcards.key}"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet profile --config {params.config:q} "
        "--output {output}"


rule speed:
    output:
        "speed/{key}.json",
    log:
        "logs/speed/{key}.log",
    threads: lambda wildcards: study.resources.all_cores(workflow)
    resources:
        gpu=study.resources.gpus,
        mem_mb=lambda wildcards, attempt: study.resources.memory_mb(attempt),
    params:
        config=lambda wildcards: study.jobs.speed_json(wildcards.key),
    message:
        "Measuring the speed of {wildcards.key}"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet speed --config {params.config:q} "
        "--output {output}"
