"""`make bench` on a GPU, a pretended one: each of our rows runs there, and none waits inside."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import ours
from bench.cases import GPU_CASES, IN_HALF, Case
from dmnet.training import trainer
from tests.pretended_gpu import GPU, NoWaiting, pretended_gpu

# One of each kind and model, at a quarter of its size.
SMALL = {
    (case.model, case.kind): case.halved().halved() for case in GPU_CASES if case.kind != "data"
}


DTYPES = {"train_step_amp": torch.float16, "train_step_bf16": torch.bfloat16}


@pytest.fixture(autouse=True)
def no_files_and_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "load_theirs", lambda *_: None)
    monkeypatch.setattr(trainer, "pick_device", lambda *_: GPU)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


@pytest.mark.parametrize("case", SMALL.values(), ids=lambda case: f"{case.model}-{case.kind}")
def test_it_runs(case: Case, tmp_path: Path) -> None:
    picture = torch.randint(256, (3, case.height, case.width), dtype=torch.uint8)
    with pretended_gpu() as pretended:
        job = ours.make(case, tmp_path, GPU)
        if isinstance(job, ours.Evaluation):
            job.picture = picture
        if isinstance(job, ours.TrainStep):
            pretended.learning = job.trainer.model
            assert job.trainer.stepper.amp == (case.kind in IN_HALF)
            types = set()
            classifier = job.trainer.model.head.get_submodule("classifier")
            classifier.register_forward_hook(lambda *call: types.add(call[-1].dtype))
        (output,) = job.outputs().values()
        with NoWaiting():
            job.run()
    assert output.device == GPU
    if isinstance(job, ours.TrainStep):
        assert types == {DTYPES.get(case.kind, torch.float32)}
    assert torch.get_autocast_dtype("cuda") == torch.float16
