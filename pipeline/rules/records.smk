# After the jobs: MLflow and DVC take a record, unless `--config record=no` was given. Neither can
# fail, slow or alter a job. Where a job failed, the tables that miss it are written with what there
# is, and say which cell failed.


if workflow.is_main_process:
    atexit.register(study.end)


onstart:
    study.begin(workflow.rules)


onsuccess:
    if study.record:
        shell("{study.python} -m pipeline record {study.options} || true")


onerror:
    shell("{study.python} -m pipeline partial {study.options} || true")
    if study.record:
        shell("{study.python} -m pipeline record {study.options} --no-dvc || true")
