# Datasets: stand-ins are drawn, real ones read from `sources`; both become data/<name>/.


rule prepare:
    output:
        "data/{dataset}/manifest.json",
    log:
        "logs/data/{dataset}.log",
    params:
        dataset=lambda wildcards: study.dataset_json(wildcards.dataset),
        sources=lambda wildcards: study.sources_of(wildcards.dataset),
    message:
        "Preparing dataset {wildcards.dataset}"
    shell:
        "{study.python} -m dmnet prepare --dataset {params.dataset:q} --folder data/{wildcards.dataset} "
        "--sources {params.sources:q} 2>&1 | tee {log}"
