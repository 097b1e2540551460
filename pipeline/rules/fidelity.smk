# Ours against recorded outputs of the reference implementations, by the tests' own code.


rule fidelity:
    output:
        markdown=report(paths.report("fidelity"), category="Fidelity"),
        json=paths.report("fidelity", "json"),
    log:
        paths.log(paths.report("fidelity", "json")),
    params:
        code=lambda wildcards: study.hashes.fidelity(),
    message:
        "Comparing with the reference implementations"
    shell:
        "{study.attempt} {log} {study.python} -m pipeline fidelity --folder $(dirname {output.json})"
