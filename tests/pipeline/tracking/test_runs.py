"""What MLflow is told rests on files that others may have written."""

from __future__ import annotations

import pytest

from dmnet.errors import DMNetError
from dmnet.files import read_json, write_json, write_text
from pipeline.tracking.runs import read_finished, read_training, system_points


def test_only_finite_measurements_of_the_system(tmp_path):
    path = tmp_path / "benchmarks/x/train.tsv"
    write_text(path, "s\tmax_rss\tmean_load\nnan\t300.5\tinf\n")
    assert system_points("x", tmp_path) == [("system/peak_memory_mib", 300.5, 0)]
    write_text(path, "s\n" + "9" * 200_000)
    assert system_points("x", tmp_path) == []


def test_a_finished_run_passes_its_schemas(build, finish, tmp_path):
    experiment = build("toy")
    evaluation = experiment.cells[0].evaluations[0]
    path = finish(evaluation, 0.5, per_class_iou=[0.5, 0.5])
    run = experiment.runs[evaluation.run_key]
    assert read_finished(experiment, run, tmp_path).tags["dmnet.state"] == "finished"
    for changed, message in (
        ({"per_class_iou": [0.5]}, "1 values for 2 classes"),
        ({"miou": "0.5"}, "`miou` = '0.5'"),
        ({"miou": 7}, "`miou`"),
    ):
        whole = read_json(path)
        write_json(path, whole | changed)
        with pytest.raises(DMNetError, match=message):
            read_finished(experiment, run, tmp_path)
        write_json(path, whole)


def test_a_history_that_is_no_file_is_told_in_one_line(build, finish, tmp_path):
    experiment = build("toy")
    evaluation = experiment.cells[0].evaluations[0]
    finish(evaluation, 0.5, per_class_iou=[0.5, 0.5])
    run = experiment.runs[evaluation.run_key]
    folder = tmp_path / "runs" / run.key
    named = {"file": "history.jsonl", "sha256": "0" * 64}
    write_json(folder / "train.json", read_json(folder / "train.json") | {"history": named})
    (folder / "history.jsonl").unlink(missing_ok=True)
    (folder / "history.jsonl").symlink_to("/dev/zero")
    with pytest.raises(DMNetError, match=r"history\.jsonl: cannot be read \(no plain file\)"):
        read_finished(experiment, run, tmp_path)


def test_what_was_not_measured_at_an_iteration_is_no_point(build, tmp_path):
    run = next(iter(build("toy").runs.values()))
    rows = '{"iteration": 1, "loss": 0.5}\n{"iteration": 2, "loss": null, "val_miou": 0.25}\n'
    write_text(tmp_path / "runs" / run.key / "history.jsonl", rows)
    points = read_training(build("toy"), run, tmp_path).points
    assert points == (("train/loss", 0.5, 1), ("val_miou", 0.25, 2))
