"""`python -m pipeline record`: once all is recorded, the workflow's mark goes."""

from __future__ import annotations

import pytest

from pipeline.__main__ import main
from pipeline.records import record
from pipeline.records.unrecorded import unrecorded
from pipeline.workflow.invocation import Invocation


@pytest.mark.parametrize(("more", "stays"), [([], False), (["--no-dvc"], True), (["toy"], True)])
def test_the_mark_goes_when_everything_was_recorded(
    folder, monkeypatch: pytest.MonkeyPatch, more: list[str], stays: bool
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(record, "record_runs", lambda *_, **__: None)
    mark = unrecorded(Invocation.read({"preset": "full", "seeds": 2, "source": "trained"}).options)
    mark.parent.mkdir(parents=True)
    mark.touch()
    assert main(["record", *more, "--preset", "full", "--seeds", "2"]) == 0
    assert mark.exists() == stays
