"""Which inputs of a training and of an evaluation count by their time."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace

import pytest

from dmnet.files import write_json
from pipeline import paths
from pipeline.workflow.inputs import Inputs
from pipeline.workflow.shared_inputs import RECORDS

KEY, PARENT = "0" * 16, "1" * 16
DATA, START = paths.data_manifest("voc"), paths.trained(PARENT)
RUN, RESULT = paths.trained(KEY), paths.evaluation(KEY, "flip")


def ancient(path: str) -> tuple[str, str]:
    return "ancient", path


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    """Of a run that starts from another and was trained elsewhere, as was all it rests on."""
    monkeypatch.chdir(tmp_path)
    write_json(Path(DATA), {"fingerprint": "drawn"})
    write_json(Path(START), {"weights": {"sha256": "begin"}})
    trained = {"weights": {"sha256": "end"}, "start_weights": "begin", "data_fingerprint": "drawn"}
    write_json(Path(RUN), trained)
    write_json(Path(RESULT), {"weights_sha256": "end", "data_fingerprint": "drawn"})
    run, dataset = SimpleNamespace(parent=PARENT), SimpleNamespace(name="voc")
    job = SimpleNamespace(run=run, dataset=dataset)
    return Inputs(SimpleNamespace(run=lambda key: SimpleNamespace(job=job)), "-")  # type: ignore[arg-type]


def made_here(output: str) -> None:
    write_json(RECORDS / base64.urlsafe_b64encode(output.encode()).decode(), {})


def test_what_came_from_elsewhere_is_no_older_than_its_inputs(inputs: Inputs) -> None:
    training = {"data": ancient(DATA), "parent": ancient(START)}
    assert inputs.of_training(KEY, ancient) == training
    assert inputs.of_result(RESULT, ancient) == {"data": ancient(DATA), "trained": ancient(RUN)}


def test_it_needs_neither_data_nor_a_parent_that_are_not_here(inputs: Inputs) -> None:
    Path(DATA).unlink()
    assert inputs.of_training(KEY, ancient) == {"data": [], "parent": ancient(START)}
    assert inputs.of_result(RESULT, ancient) == {"data": [], "trained": ancient(RUN)}
    Path(START).unlink()
    assert inputs.of_training(KEY, ancient) == {"data": [], "parent": []}


def test_other_data_and_other_weights_count_by_their_time(inputs: Inputs) -> None:
    write_json(Path(DATA), {"fingerprint": "another"})
    write_json(Path(START), {"weights": {"sha256": "another"}})
    write_json(Path(RUN), {"weights": {"sha256": "another"}, "start_weights": "begin"})
    assert inputs.of_training(KEY, ancient) == {"data": DATA, "parent": START}
    assert inputs.of_result(RESULT, ancient) == {"data": DATA, "trained": RUN}


def test_what_was_made_here_is_compared_with_its_inputs_times(inputs: Inputs) -> None:
    """But for its data, which count by their fingerprint."""
    for output in (RUN, RESULT):
        made_here(output)
    assert inputs.of_training(KEY, ancient) == {"data": ancient(DATA), "parent": START}
    assert inputs.of_result(RESULT, ancient) == {"data": ancient(DATA), "trained": RUN}


def test_what_is_not_made_needs_everything(inputs: Inputs) -> None:
    Path(RUN).unlink()
    Path(RESULT).unlink()
    assert inputs.of_training(KEY, ancient) == {"data": DATA, "parent": START}
    assert inputs.of_result(RESULT, ancient) == {"data": DATA, "trained": RUN}
