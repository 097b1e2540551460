"""One cell's lineage: every fact comes from the files, what is not there is said to be pending."""

from __future__ import annotations

import pytest

from dmnet.errors import DMNetError
from pipeline.errors import ResultError, SpecError
from pipeline.inspection.show.lineage import render_show

TRAINED = {
    "seconds": 61.25,
    "stand_in": True,
    "environment": {
        "python": "3.11.9",
        "packages": {"torch": "2.13.0", "numpy": "2.4.0"},
        "device": {"type": "cpu", "name": "a processor"},
        "processor": {"name": "a processor", "instructions": "AVX2", "cores": 4, "threads": 2},
    },
    "acceleration": {"channels_last": False, "fused_update": False, "fast_convolutions": 11},
}


def test_a_pending_cell_tells_what_is_known(both, show):
    experiment = both()
    key = experiment.cells[0].evaluations[0].run_key
    text = show(experiment)
    assert text.startswith("Cell toy/wide at preset full\n report reports/toy.md\n")
    for line in (
        "table Toy table",
        "row first",
        "column A",
        "published 70.00",
        "published by nobody 2020, Table 9",
        "ours pending (0 of 1 seeds measured)",
        "difference pending",
        f"Seed 0: run {key}",
        "cells toy/wide, twin/same-as-wide",
        "training pending, iteration 0/7",
        "iterations 7 (3 epochs of 10 images in batches of 4)",
        f"configuration runs/{key}/config.json (not here)",
        "starts from random weights",
        "dataset photos (real, the published one), split train",
        "fingerprint pending (data/photos is not prepared or damaged)",
        f"log logs/runs/{key}/train.log (not here)",
        "mIoU pending",
    ):
        assert f"{line}\n" in text, line
    assert "SHA-256" not in text


def test_a_measured_cell_names_everything_below_it(both, show, finish, tmp_path):
    experiment = both()
    evaluation = experiment.cells[0].evaluations[0]
    finish(evaluation, 0.7125, TRAINED)
    folder = f"runs/{evaluation.run_key}"
    (tmp_path / folder / "weights.pt").touch()
    text = show(experiment)
    for line in (
        "ours 71.25 (one seed)",
        "difference +1.25",
        "source of ours trained",
        "training done, iteration 7/7",
        f"weights {folder}/weights.pt",
        f"weights SHA-256 {evaluation.run_key}{'0' * 48}",
        f"fingerprint {'f' * 64}",
        f"code commit {'c' * 40}, no uncommitted changes",
        "packages python 3.11.9, numpy 2.4.0, torch 2.13.0",
        "trained on cpu, a processor",
        "processor a processor (AVX2), 4 cores, of which 2 used",
        "accelerated by 11 convolutions with fewer multiplications",
        "took 61.25 s (0:01:01)",
        f"evaluation {evaluation.name}",
        "split val",
        f"result {evaluation.path}",
        "images 2",
        "mIoU 71.25",
        "command snakemake --cores all reports/toy.md --config preset=full seeds=1",
    ):
        assert f"{line}\n" in text, line
    assert "pending" not in text
    assert str(tmp_path) not in text


def test_of_a_gpu_its_arithmetic_is_told(both, show, finish):
    experiment = both()
    device = {"type": "cuda", "name": "a GPU", "tf32": ["convolutions"]}
    on = {"channels_last": True, "fused_update": True, "tried_convolutions": True}
    trained = {**TRAINED, "environment": {"device": device}, "acceleration": on}
    measured = {"device": "cuda", "tf32": ["convolutions", "products"]}
    finish(experiment.cells[0].evaluations[0], 0.5, trained, **measured)
    text = show(experiment)
    for line in (
        "trained on cuda, a GPU, TF32 in convolutions, bits not reproducible",
        "accelerated by channels innermost, updates in one kernel, convolutions chosen by trial",
        "measured on cuda, TF32 in convolutions and products",
    ):
        assert f"{line}\n" in text, line


def test_equal_files_give_equal_text(both, finish, tmp_path):
    for number in (0, 1):
        finish(both(2).cells[0].evaluations[number], 0.5)
    assert render_show(both(2), "toy/wide", tmp_path) == render_show(both(2), "toy/wide", tmp_path)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("toy/wied", "did you mean toy/wide"),
        ("toys/wide", "did you mean toy/wide"),
        ("wide", "did you mean toy/wide"),
        ("toy/zzzzzz", "expected one of toy/wide, toy/deep, toy/quick;"),
        ("9999/zzzzzz", "expected TABLE/CELL with a table of toy, twin;"),
        ("", "expected TABLE/CELL with a table of toy, twin;"),
    ],
)
def test_an_unknown_cell_names_near_ones_and_how_to_list_them(both, tmp_path, asked, said):
    with pytest.raises(SpecError) as error:
        render_show(both(), asked, tmp_path)
    message = str(error.value)
    assert message.startswith(f"cell {asked!r}: unknown; {said}")
    assert "python -m pipeline plan TABLE" in message and "\n" not in message


def test_a_result_of_another_run_is_an_error_not_a_number(both, finish, tmp_path):
    experiment = both()
    path = finish(experiment.cells[0].evaluations[0], 0.5, run="0" * 16)
    with pytest.raises(ResultError, match="of another run") as error:
        render_show(experiment, "toy/wide", tmp_path)
    assert str(path) in str(error.value)


def test_a_damaged_train_json_is_an_error_that_names_it(both, finish, tmp_path):
    experiment = both()
    path = finish(experiment.cells[0].evaluations[0], 0.5)
    (path.parents[1] / "train.json").write_text("{")
    with pytest.raises(DMNetError, match=r"train\.json: not valid JSON"):
        render_show(experiment, "toy/wide", tmp_path)
