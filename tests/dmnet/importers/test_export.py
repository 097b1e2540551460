"""A run's weights go to a zoo's checkpoint file and come back as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dmnet.__main__ import main
from dmnet.config import DatasetConfig, JobConfig
from dmnet.files import sha256_file, write_json, write_text
from dmnet.importers import ZOOS
from dmnet.segmentor import Segmentor
from dmnet.weights import load_trained

FCN = {"head": {"name": "fcn", "channels": 4}}
WIDTHS = {
    "detail_channels": [4, 4, 8],
    "semantic_channels": [4, 4, 4, 8],
    "aggregation_channels": 8,
}
MODELS: dict[str, dict[str, Any]] = {
    "dmnet": {
        "backbone": {"name": "resnet", "stem": "deep", "width": 4},
        "head": {"name": "dmnet", "channels": 4, "fusion": False},
        "auxiliary": {"stage4": FCN},
    },
    "deeplabv3": {
        "backbone": {"name": "resnet", "stem": "deep", "width": 4},
        "head": {"name": "aspp", "channels": 4},
        "auxiliary": {"stage4": FCN},
    },
    "bisenetv2": {
        "backbone": {"name": "bisenetv2", **WIDTHS},
        **FCN,
        "auxiliary": {f"stage{i}": {**FCN, "stage": i, "weight": 1.0} for i in (2, 3, 4, 5)},
    },
}


@pytest.fixture
def finished(
    tmp_path: Path,
    drawn_data: tuple[DatasetConfig, Path],
    make_job: Callable[..., JobConfig],
) -> Callable[[dict[str, Any]], tuple[Path, Segmentor]]:
    """The folder of a run that is finished as far as its files go, and its model."""

    def finish(model: dict[str, Any]) -> tuple[Path, Segmentor]:
        job = make_job(drawn_data[0], model=model)
        run = tmp_path / "runs" / job.run.key
        write_text(run / "config.json", job.model_dump_json())
        torch.save(Segmentor(job.run.model, 21).state_dict(), run / "weights.pt")
        digest = sha256_file(run / "weights.pt")
        write_json(run / "train.json", {"weights": {"file": "weights.pt", "sha256": digest}})
        return run, load_trained(job.run, run / "weights.pt", digest)

    return finish


@pytest.mark.parametrize(
    ("zoo", "name"),
    [
        ("mmsegmentation", "dmnet"),
        ("mmsegmentation", "deeplabv3"),
        ("mmsegmentation", "bisenetv2"),
        ("sssegmentation", "dmnet"),
    ],
)
def test_exported_weights_come_back_as_they_were(
    tmp_path: Path, finished: Callable[..., tuple[Path, Segmentor]], zoo: str, name: str
) -> None:
    run, model = finished(MODELS[name])
    output = tmp_path / "exported.pth"
    assert main(["export", "--run", str(run), "--zoo", zoo, "--output", str(output)]) == 0

    content = torch.load(output, weights_only=True)
    again = ZOOS[zoo].to_ours(ZOOS[zoo].unwrap(content), model)
    state = model.state_dict()
    assert list(again) == list(state)
    assert all(torch.equal(again[key], state[key]) for key in state)
    if zoo == "mmsegmentation":
        assert len(content["meta"]["dataset_meta"]["classes"]) == 21
        assert content["meta"]["iter"] == 6
    else:
        assert content["cur_iter"] == 6


@pytest.mark.parametrize(
    ("zoo", "name", "message"),
    [
        ("torchvision", "dmnet", "--zoo torchvision: unknown; expected one of mmsegmentation, sss"),
        ("sssegmentation", "bisenetv2", "head `fcn` on bisenetv2: no name table"),
    ],
)
def test_what_cannot_be_exported_leaves_no_file(
    tmp_path: Path,
    finished: Callable[..., tuple[Path, Segmentor]],
    capsys: pytest.CaptureFixture[str],
    zoo: str,
    name: str,
    message: str,
) -> None:
    run, _ = finished(MODELS[name])
    output = tmp_path / "out" / "exported.pth"
    assert main(["export", "--run", str(run), "--zoo", zoo, "--output", str(output)]) == 1
    assert message in capsys.readouterr().err
    assert not output.parent.exists()


def test_a_run_that_is_not_finished_cannot_be_exported(
    tmp_path: Path,
    finished: Callable[..., tuple[Path, Segmentor]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, _ = finished(MODELS["dmnet"])
    (run / "train.json").unlink()
    arguments = ["export", "--run", str(run), "--zoo", "mmsegmentation"]
    assert main([*arguments, "--output", str(tmp_path / "exported.pth")]) == 1
    assert "train.json: cannot be read" in capsys.readouterr().err
