# Ours against recorded outputs of the reference implementations, by the tests' own code.


rule fidelity:
    output:
        markdown=report("reports/fidelity.md", category="Fidelity"),
        json="reports/fidelity.json",
    log:
        "logs/fidelity.log",
    params:
        code=lambda wildcards: study.hashes.fidelity(),
    message:
        "Comparing with the reference implementations"
    shell:
        "{study.attempt} {log} {study.python} -m pipeline fidelity --folder $(dirname {output.json})"
