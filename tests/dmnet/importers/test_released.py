"""A released checkpoint becomes a folder that evaluations read like a run; a wrong one, nothing."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dmnet.__main__ import main
from dmnet.config import DatasetConfig, JobConfig, ReleaseJob
from dmnet.files import read_json, sha256_file, write_text
from dmnet.importers import ZOOS
from dmnet.segmentor import Segmentor
from dmnet.weights import load_trained
from tests.dmnet.reference_models import our_model

Prepared = tuple[DatasetConfig, Path]
MODEL = {
    "backbone": {"name": "resnet", "width": 4, "stem": "deep", "stem_channels": 8},
    "head": {"name": "dmnet", "channels": 4, "kernel_sizes": [1, 2, 3], "fusion": False},
    "auxiliary": {"stage4": {"head": {"name": "fcn", "channels": 4}}},
}


def metadata(classes: tuple[str, ...]) -> dict[str, Any]:
    """As mmsegmentation 0.x writes it."""
    return {
        "env_info": "sys.platform: linux\nPyTorch: 1.5.0",
        "config": "model = dict()",
        "seed": 0,
        "exp_name": "dmnet.py",
        "mmseg_version": "0.9.0+8f8abe3",
        "CLASSES": classes,
        "PALETTE": [[128, 64, 128]] * len(classes),
        "iter": 40000,
        "hook_msgs": {"best_score": np.float64(0.5)},
    }


@dataclass
class Release:
    """A dataset, the model that was released, and where the command finds and puts things."""

    dataset: DatasetConfig
    data: Path
    model: Segmentor
    weights: Path
    released: Path
    zoo: str = "mmsegmentation"
    published: bool = True  # is its hash?

    def checkpoint(self, **changes: Any) -> dict[str, Any]:
        zoo = ZOOS[self.zoo]
        state = zoo.to_theirs(self.model.state_dict(), self.model)
        beside = {"cur_epoch": 60, "cur_iter": 40000, "optimizer": {"state": {}}}
        if self.zoo == "mmsegmentation":
            beside = {"meta": metadata(self.dataset.classes), "optimizer": {"state": {}}}
        return {zoo.key: collections.OrderedDict(state), **beside, **changes}

    def save(self, content: Any, zipped: bool = True) -> Path:
        path = self.weights / "model.pth"
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
        return path

    def job(self, **run: Any) -> ReleaseJob:
        path = self.weights / "model.pth"
        prefix = sha256_file(path)[:8] if self.published and path.exists() else "0" * 8
        url = "https://example.org/model.pth"
        file = {"file": "model.pth", "urls": [url], "source": "a README"}
        file["sha256_prefix"] = prefix if self.published else None
        values = {
            "checkpoint": {"name": "model", "zoo": self.zoo, "files": [file]},
            "model": MODEL,
            "data": self.dataset.identity.model_dump(mode="json"),
            "recipe": {
                "lr": 0.01,
                "weight_decay": 5e-4,
                "iterations": 40000,
                "batch_size": 8,
                "crop_size": [512, 1024],
            },
            **run,
        }
        return ReleaseJob.model_validate(
            json.loads(json.dumps({"run": values, "dataset": self.dataset.model_dump(mode="json")}))
        )

    def run(self, job: ReleaseJob) -> int:
        """`python -m dmnet import`"""
        arguments = ["--config", job.model_dump_json(), "--weights", self.weights]
        output = self.released / job.run.key
        return main(["import", *map(str, arguments), "--output", str(output)])


@pytest.fixture
def release(tmp_path: Path, stripes_data: Prepared, make_job: Callable[..., JobConfig]) -> Release:
    torch.manual_seed(0)
    run = make_job(stripes_data[0], model=MODEL).run
    model = Segmentor(run.model, 3).eval()
    for name, tensor in model.state_dict().items():
        if "running" in name:
            tensor.uniform_(0.5, 1.5)
    return Release(*stripes_data, model, tmp_path / "weights", tmp_path / "released")


def refused(release: Release, capsys: pytest.CaptureFixture[str], **run: Any) -> str:
    """The command ends with one line, and nothing is written."""
    assert release.run(release.job(**run)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"error: {release.weights / 'model.pth'}: ")
    assert not release.released.exists()
    return lines[0]


@pytest.mark.parametrize("zoo", ["mmsegmentation", "sssegmentation"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before PyTorch 1.6"])
def test_an_imported_checkpoint_is_evaluated_like_a_run(
    release: Release, zoo: str, zipped: bool, tmp_path: Path
) -> None:
    release.zoo = zoo
    release.published = zoo == "mmsegmentation"
    source = release.save(release.checkpoint(), zipped)
    job = release.job()
    assert release.run(job) == 0

    folder = release.released / job.run.key
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json",
        "imported.json",
        "train.json",
        "weights.pt",
    ]
    trained = read_json(folder / "train.json")
    assert trained["source"] == "released" and trained["key"] == job.run.key
    assert trained["weights"]["sha256"] == sha256_file(folder / "weights.pt")
    assert trained["iterations"] == 40000
    checkpoint = trained["checkpoint"]
    assert checkpoint["sha256"] == sha256_file(source)
    assert checkpoint["verified"] is release.published
    assert checkpoint["url"] == "https://example.org/model.pth"
    assert "optimizer" in checkpoint["left_aside"]

    loaded = load_trained(job.run, folder / "weights.pt", trained["weights"]["sha256"])
    for name, tensor in release.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name

    evaluation = {
        "inference": {"mode": "whole"},
        "split": "val",
        "data": release.dataset.identity.model_dump(mode="json"),
    }
    output = tmp_path / "metrics.json"
    arguments = ["--run", folder, "--config", json.dumps(evaluation), "--data", release.data]
    assert main(["evaluate", *map(str, arguments), "--output", str(output)]) == 0
    metrics = read_json(output)
    assert metrics["run"] == job.run.key and metrics["images"] == 2
    assert metrics["weights_sha256"] == trained["weights"]["sha256"]

    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert release.run(job) == 0  # again: the same bytes
    assert before == {file: file.read_bytes() for file in folder.iterdir()}


FIXTURES = {
    "mmseg_dmnet_r50d8": "DMNet (mmsegmentation)",
    "mmseg_bisenetv2": "BiSeNetV2 (mmsegmentation)",
    "ssseg_dmnet_r50os8": "DMNet (sssegmentation)",
}


@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_checkpoint_file_of_the_reference_gives_its_logits(
    release: Release,
    fixture: str,
    golden: Callable[[str], Any],
    fidelity: Callable[..., None],
    drawn_data: Prepared,
) -> None:
    recorded = golden(fixture)
    config, classes, release.zoo = our_model(recorded)
    values = drawn_data[0].model_dump(mode="json")
    values["classes"] = [f"c{i}" for i in range(classes)]
    values["generate"] = None
    release.dataset = DatasetConfig.model_validate(values)
    release.save(recorded["checkpoint"])
    job = release.job(model=config.model_dump(mode="json"))
    assert release.run(job) == 0
    folder = release.released / job.run.key
    digest = read_json(folder / "train.json")["weights"]["sha256"]
    case = recorded["case_65x97"]
    with torch.no_grad():
        logits = load_trained(job.run, folder / "weights.pt", digest)(case["input"]).main
    fidelity(
        FIXTURES[fixture],
        "logits after the import of a checkpoint file",
        logits,
        case["logits"],
        source=fixture,
    )


def test_names_of_a_data_parallel_wrapper(release: Release) -> None:
    content = release.checkpoint()
    content["state_dict"] = {f"module.{k}": v for k, v in content["state_dict"].items()}
    release.save(content)
    assert release.run(release.job()) == 0


def test_half_precision_keeps_its_values(release: Release) -> None:
    content = release.checkpoint()
    content["state_dict"] = {
        k: v.half() if v.is_floating_point() else v for k, v in content["state_dict"].items()
    }
    release.save(content)
    job = release.job()
    assert release.run(job) == 0
    folder = release.released / job.run.key
    digest = read_json(folder / "train.json")["weights"]["sha256"]
    bias = load_trained(job.run, folder / "weights.pt", digest).head.classifier.bias
    assert torch.equal(bias, release.model.head.classifier.bias.half().float())


def test_a_missing_checkpoint(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(release, capsys)
    assert "released checkpoint model is missing; download https://example.org/model.pth" in line


def test_another_hash(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    release.save(release.checkpoint())
    job = release.job()
    release.save(release.checkpoint(more=1))
    assert release.run(job) == 1
    assert "does not start with" in capsys.readouterr().err and not release.released.exists()


def test_a_truncated_file(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    content = release.save(release.checkpoint()).read_bytes()
    release.save(content[: len(content) // 2])
    assert "not a checkpoint, or cut short" in refused(release, capsys)


def state_without(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content["state_dict"].items() if key != name}


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no checkpoint": (lambda c: [1, 2], "expected the key `state_dict`"),
    "another zoo's": (lambda c: {"model": c["state_dict"]}, "expected the key `state_dict`"),
    "weights no mapping": (
        lambda c: {**c, "state_dict": 3},
        "expected a state dict under `state_dict`, found int",
    ),
    "key left over": (
        lambda c: {**c, "state_dict": {**c["state_dict"], "extra.weight": torch.zeros(1)}},
        "left over: extra.weight",
    ),
    "a name that moves the cursor": (
        lambda c: {**c, "state_dict": {**c["state_dict"], "a\n\x1b[2Kb": torch.zeros(1)}},
        "left over: a??[2Kb",
    ),
    "key missing": (
        lambda c: {**c, "state_dict": state_without(c, "decode_head.conv_seg.bias")},
        "missing: decode_head.conv_seg.bias",
    ),
    "another shape": (
        lambda c: {
            **c,
            "state_dict": {**c["state_dict"], "decode_head.conv_seg.bias": torch.zeros(7)},
        },
        r"wrong shape: decode_head.conv_seg.bias is (7,), expected (3,)",
    ),
    "one name wrapped": (
        lambda c: {
            **c,
            "state_dict": {
                **state_without(c, "decode_head.conv_seg.bias"),
                "module.decode_head.conv_seg.bias": torch.zeros(3),
            },
        },
        "left over: module.decode_head.conv_seg.bias",
    ),
    "no tensor": (
        lambda c: {**c, "state_dict": {**c["state_dict"], "decode_head.conv_seg.bias": 1.0}},
        "decode_head.conv_seg.bias",
    ),
    "not a number": (
        lambda c: {
            **c,
            "state_dict": {
                **c["state_dict"],
                "decode_head.conv_seg.bias": torch.tensor([1.0, float("nan"), 0.0]),
            },
        },
        "`head.classifier.bias` has values that are no numbers",
    ),
    "integers": (
        lambda c: {
            **c,
            "state_dict": {
                **c["state_dict"],
                "decode_head.conv_seg.bias": torch.zeros(3, dtype=torch.int64),
            },
        },
        "`head.classifier.bias` is torch.int64",
    ),
    "no values": (
        lambda c: {
            **c,
            "state_dict": {
                **c["state_dict"],
                "decode_head.conv_seg.bias": torch.zeros(3, device="meta"),
            },
        },
        "`head.classifier.bias` is torch.float32 on meta",
    ),
    "classes in another order": (
        lambda c: {**c, "meta": {"dataset_meta": {"classes": ["red", "blue", "green"]}}},
        "its class 1 is 'blue', but the dataset's is 'green'",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_does_not_fit_is_refused(
    release: Release, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, reason = DAMAGES[damage]
    release.save(change(release.checkpoint()))
    assert reason in refused(release, capsys)


def test_another_number_of_classes(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    release.model = Segmentor(release.model.config, 19)
    content = release.checkpoint()
    content["meta"]["CLASSES"] = tuple(f"class {i}" for i in range(19))
    release.save(content)
    line = refused(release, capsys)
    assert "decode_head.conv_seg.weight is (19, 4, 1, 1), expected (3, 4, 1, 1)" in line


def test_another_model(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    release.save(release.checkpoint())
    other = {**MODEL, "backbone": {**MODEL["backbone"], "depth": 101}}
    assert "missing: backbone.layer3.6." in refused(release, capsys, model=other)


def test_other_spellings_of_the_classes_are_accepted_and_logged(
    release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    release.save(release.checkpoint(meta={"CLASSES": ("Red", "green", "azure")}))
    assert release.run(release.job()) == 0
    assert "class 2 is called 'azure' in the checkpoint and 'blue' in the dataset" in caplog.text


def test_the_key_is_of_what_changes_the_result(release: Release) -> None:
    release.save(release.checkpoint())
    job = release.job()

    def key(change: Callable[[dict[str, Any]], object]) -> str:
        values = job.model_dump(mode="json")
        change(values["run"])
        return ReleaseJob.model_validate(values).run.key

    assert key(lambda run: run["recipe"].update(iterations=80000, lr=1.0)) == job.run.key
    assert key(lambda run: run["model"].update(initialisation="torch")) == job.run.key
    file = {"file": "other.pth", "urls": ["https://mirror.example/other.pth"]}
    assert key(lambda run: run["checkpoint"]["files"][0].update(file)) == job.run.key

    assert key(lambda run: run["recipe"].update(mean=[1.0, 2.0, 3.0])) != job.run.key
    assert key(lambda run: run["model"].update(align_corners=True)) != job.run.key
    changed = {"sha256_prefix": "f" * 8}
    assert key(lambda run: run["checkpoint"]["files"][0].update(changed)) != job.run.key


def test_a_folder_of_another_key(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    release.save(release.checkpoint())
    job = release.job()
    output = release.released / "0123"
    arguments = ["--config", job.model_dump_json(), "--weights", release.weights]
    assert main(["import", *map(str, arguments), "--output", str(output)]) == 1
    assert f"such as released/{job.run.key}" in capsys.readouterr().err
    assert not release.released.exists()


def test_fetch_then_import_from_a_mirror(
    release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = release.save(release.checkpoint())
    job = release.job()
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    source.rename(mirror / source.name)
    write_text(release.released / job.run.key / "config.json", job.model_dump_json())
    where = ["--weights", str(release.weights), "--mirror", str(mirror)]
    config = str(release.released / job.run.key / "config.json")
    assert main(["fetch", "--config", config, *where]) == 0
    assert capsys.readouterr().out == f"{release.weights / 'model.pth'}\n"
    assert release.run(job) == 0

    checkpoint = job.run.checkpoint.model_dump_json()
    assert main(["fetch", "--checkpoint", checkpoint, *where]) == 0


def test_fetch_brings_what_a_training_starts_from(
    tmp_path: Path,
    stripes_data: Prepared,
    make_job: Callable[..., JobConfig],
    capsys: pytest.CaptureFixture[str],
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "resnet50.pth").write_bytes(b"weights")
    weights = {
        "name": "ResNet-50",
        "file": "resnet50.pth",
        "url": "https://example.org/resnet50.pth",
        "sha256_prefix": sha256_file(mirror / "resnet50.pth")[:8],
    }
    model = {"backbone": {"name": "resnet", "weights": weights}, "head": {"name": "fcn"}}
    job = make_job(stripes_data[0], model=model).model_dump_json()
    where = ["--weights", str(tmp_path / "weights"), "--mirror", str(mirror)]
    for wanted in (["--config", job], ["--checkpoint", json.dumps(weights)]):
        assert main(["fetch", *wanted, *where]) == 0
        assert (tmp_path / "weights" / "resnet50.pth").read_bytes() == b"weights"
    assert main(["fetch", "--config", make_job(stripes_data[0]).model_dump_json(), *where]) == 1
    assert "starts from no published weights" in capsys.readouterr().err
