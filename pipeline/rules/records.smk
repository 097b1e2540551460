# After the jobs: MLflow and DVC take a record. Neither can fail, slow or alter a job.


onstart:
    study.hold_tree()


onsuccess:
    shell("{study.python} -m pipeline record {study.options} || true")


onerror:
    shell("{study.python} -m pipeline record {study.options} --no-dvc || true")
