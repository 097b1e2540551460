"""On a GPU: evaluations and predictions, in either form, are the CPU's."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dmnet.__main__ import main
from dmnet.config import DatasetConfig, EvaluationConfig, InferenceConfig, JobConfig, ModelConfig
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.decode import read_label
from dmnet.data.manifest import Manifest
from dmnet.files import read_json, write_text
from dmnet.inference.evaluate import evaluate
from dmnet.inference.form import OPTIMISED, PLAIN, Form, in_form
from dmnet.inference.metrics import ConfusionMatrix
from dmnet.inference.trained import open_trained
from dmnet.segmentor import Segmentor
from tests.dmnet.inference.test_predict import settings
from tests.dmnet.test_on_a_gpu import MODELS, PROTOCOLS, pairs, recipe

pytestmark = pytest.mark.gpu

Prepared = tuple[DatasetConfig, Path]
Tf32 = Callable[[bool], AbstractContextManager[None]]
TURNED = 0.002  # of the pixels, where two classes nearly tie


@pytest.mark.parametrize(("name", "how"), pairs(PROTOCOLS, "scales and flip"))
@pytest.mark.parametrize("form", [PLAIN, OPTIMISED], ids=lambda form: form.name)
def test_counts_are_the_cpu_s(
    name: str, how: str, form: Form, gpu: torch.device, tf32: Tf32, drawn_data: Prepared
) -> None:
    dataset = SegmentationDataset(
        Manifest.load(drawn_data[1]), "val", drawn_data[0].identity_of("val")
    )
    torch.manual_seed(0)
    model = Segmentor(ModelConfig.model_validate(MODELS[name]), 21).eval()
    protocol = InferenceConfig.model_validate(PROTOCOLS[how])
    counts = []
    for device, kind in ((torch.device("cpu"), PLAIN), (gpu, form)):
        used = in_form(copy.deepcopy(model).to(device), kind)
        with tf32(False):
            found = evaluate(used, dataset, recipe(), protocol, device, form=kind)
        counts.append(found.counts)
    assert counts[0].sum() == counts[1].sum() > 3000
    assert np.abs(counts[0] - counts[1]).sum() <= 2 * TURNED * counts[0].sum()


@pytest.mark.parametrize("inference", [{}, {"flip": True, "scales": [0.5, 1.0]}], ids=str)
def test_the_commands_train_evaluate_and_predict_there(
    inference: dict[str, Any],
    gpu: torch.device,
    tmp_path: Path,
    stripes_data: Prepared,
    make_job: Callable[..., JobConfig],
) -> None:
    dataset, data = stripes_data
    job = make_job(dataset)
    run = tmp_path / "runs" / job.run.key
    write_text(run / "config.json", job.model_dump_json())
    assert main(["train", "--config", f"{run}/config.json", "--data", str(data)]) == 0
    values = settings(dataset, inference=inference)
    common = ["--run", str(run), "--config", json.dumps(values), "--data", str(data), "--output"]
    files = {what: tmp_path / what / f"{run.name}.json" for what in ("evaluate", "predict")}
    for what, file in files.items():
        assert main([what, *common, str(file)]) == 0
        assert read_json(file)["device"] == gpu.type
    opened = open_trained(run, EvaluationConfig.model_validate(values), data)
    assert opened.device.type == gpu.type
    counted = ConfusionMatrix.empty(3)
    for index, (image, _) in enumerate(opened.dataset.pairs):
        labels = read_label(files["predict"].with_suffix("") / f"{image.stem}.png")
        counted.add(torch.from_numpy(labels.astype(np.int64)), opened.dataset.read(index)[1], 255)
    assert read_json(files["evaluate"])["miou"] == pytest.approx(counted.miou())
