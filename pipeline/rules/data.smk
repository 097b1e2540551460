# Datasets: stand-ins are drawn, real ones read from `sources`; both become data/<name>/.


localrules:
    describe,


rule describe:
    output:
        paths.dataset_config("{dataset}"),
    params:
        content=lambda wildcards: study.hashes.dataset(wildcards.dataset),
    message:
        "Describing dataset {wildcards.dataset}"
    shell:
        "{study.python} -m pipeline describe {wildcards.dataset} {study.options} --output {output}"


rule prepare:
    input:
        paths.dataset_config("{dataset}"),
    output:
        paths.data_manifest("{dataset}"),
    log:
        paths.log(paths.data_manifest("{dataset}")),
    priority: 100  # what is missing is told before anything else is done
    params:
        sources=lambda wildcards: study.inputs.sources_of(wildcards.dataset),
    message:
        "Preparing dataset {wildcards.dataset}"
    shell:
        "{study.attempt} {log} {study.python} -m dmnet prepare --dataset {input} "
        "--folder data/{wildcards.dataset} --sources {params.sources:q}"
