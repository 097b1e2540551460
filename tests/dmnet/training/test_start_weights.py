"""ImageNet weights: accepted by hash, in torchvision's format, as plain tensors only."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dmnet.backbones import ResNet
from dmnet.config import ResNetConfig, WeightsConfig
from dmnet.errors import CheckpointError
from dmnet.files import sha256_file
from dmnet.training.start_weights import load_start_weights
from tests.torchvision_peer import torchvision

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def published() -> State:
    """The state dict of torchvision's own ResNet-50, classifier included, randomly drawn."""
    torch.manual_seed(0)
    model = torchvision.models.resnet.resnet50()
    model.bn1.running_mean.fill_(0.25)
    return model.state_dict()


@pytest.fixture
def store(tmp_path: Path) -> Callable[[Any], WeightsConfig]:
    """Save an object as a weights file and give the configuration that names its true hash."""

    def save(content: Any) -> WeightsConfig:
        path = tmp_path / "resnet50.pth"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        return WeightsConfig(
            name="ResNet-50",
            file=path.name,
            url="https://example.org/resnet50.pth",
            sha256_prefix=sha256_file(path)[:8],
        )

    return save


@pytest.fixture(scope="module")
def backbone() -> ResNet:
    return ResNet(ResNetConfig(name="resnet"))


def refused(
    backbone: ResNet, weights: WeightsConfig, folder: Path, reason: str
) -> pytest.ExceptionInfo[CheckpointError]:
    """Loading fails with one line that names the file and the reason."""
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_start_weights(backbone, weights, folder)
    assert str(caught.value).startswith(f"{folder / weights.file}: ")
    assert "\n" not in str(caught.value)
    return caught


def test_every_tensor_but_the_classifiers_is_loaded_and_the_hash_returned(
    tmp_path: Path, published: State, store: Callable[[Any], WeightsConfig]
) -> None:
    weights, backbone = store(published), ResNet(ResNetConfig(name="resnet"))
    digest = load_start_weights(backbone, weights, tmp_path)
    assert digest == sha256_file(tmp_path / weights.file)
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, published[name]), name


def test_a_missing_file_says_what_to_download(
    tmp_path: Path, backbone: ResNet, published: State, store: Callable[[Any], WeightsConfig]
) -> None:
    weights = store({})
    (tmp_path / weights.file).unlink()
    refused(backbone, weights, tmp_path, r"missing; download https://example\.org/resnet50\.pth")


def test_another_hash_is_refused(
    tmp_path: Path, backbone: ResNet, published: State, store: Callable[[Any], WeightsConfig]
) -> None:
    weights = store(published).model_copy(update={"sha256_prefix": "0" * 8})
    refused(backbone, weights, tmp_path, "does not start with 00000000")


def test_a_truncated_download_is_refused_by_its_hash(
    tmp_path: Path, backbone: ResNet, published: State, store: Callable[[Any], WeightsConfig]
) -> None:
    weights = store(published)
    path = tmp_path / weights.file
    path.write_bytes(path.read_bytes()[: 2**20])
    refused(backbone, weights, tmp_path, "does not start with")


def test_a_file_that_was_truncated_before_it_was_hashed_is_refused(
    tmp_path: Path, backbone: ResNet, published: State, store: Callable[[Any], WeightsConfig]
) -> None:
    store(published)
    half = (tmp_path / "resnet50.pth").read_bytes()[: 2**20]
    refused(backbone, store(half), tmp_path, "not a (plain )?state dict")


@pytest.mark.parametrize("content", [b"", b"text, not weights", bytes(range(256)) * 8])
def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, backbone: ResNet, store: Callable[[Any], WeightsConfig], content: bytes
) -> None:
    refused(backbone, store(content), tmp_path, "not a (plain )?state dict")


def test_missing_and_foreign_keys_are_refused(
    tmp_path: Path, backbone: ResNet, published: State, store: Callable[[Any], WeightsConfig]
) -> None:
    foreign = {**published, "extra.weight": torch.zeros(1)}
    refused(backbone, store(foreign), tmp_path, r"does not fit.*extra\.weight")
    missing = {name: t for name, t in published.items() if name != "layer4.2.bn3.weight"}
    refused(backbone, store(missing), tmp_path, r"does not fit.*layer4\.2\.bn3\.weight")
    wrapped = store({"state_dict": published})
    refused(backbone, wrapped, tmp_path, "not a plain state dict|does not fit")


@pytest.mark.parametrize("content", [[torch.zeros(1)], {1: torch.zeros(1)}, torch.zeros(2)])
def test_a_file_of_plain_tensors_that_is_no_state_dict_is_refused(
    tmp_path: Path, backbone: ResNet, store: Callable[[Any], WeightsConfig], content: Any
) -> None:
    refused(backbone, store(content), tmp_path, "not a (plain )?state dict")


def test_a_wrong_shape_is_refused(
    tmp_path: Path, backbone: ResNet, published: State, store: Callable[[Any], WeightsConfig]
) -> None:
    wrong = {**published, "conv1.weight": torch.zeros(64, 3, 3, 3)}
    refused(backbone, store(wrong), tmp_path, r"does not fit.*conv1\.weight")


class RunsCode:
    """Its pickle opens a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(
    tmp_path: Path, backbone: ResNet, store: Callable[[Any], WeightsConfig], how: str
) -> None:
    target = tmp_path / "was-here"
    attack = {"conv1.weight": RunsCode(target)}
    weights = store(attack if how == "torch" else pickle.dumps(attack, protocol=2))
    refused(backbone, weights, tmp_path, "not a (plain )?state dict")
    assert not target.exists()


@pytest.fixture(scope="module")
def small_v1c() -> ResNet:
    torch.manual_seed(0)
    return ResNet(ResNetConfig(stem="deep", width=4))


@pytest.fixture(scope="module")
def published_v1c(small_v1c: ResNet) -> State:
    """The layout of resnet50_v1c-2cccc1ad.pth: the stem is one sequence, its last norm stem.7."""
    names = {
        key: key.replace("conv1.", "stem.", 1) if key.startswith("conv1.") else key
        for key in small_v1c.state_dict()
    }
    names = {
        key: new.replace("bn1.", "stem.7.", 1) if new.startswith("bn1.") else new
        for key, new in names.items()
    }
    state = {
        new: torch.randn_like(t.float()).to(t.dtype)
        for (_, new), t in zip(names.items(), small_v1c.state_dict().values(), strict=True)
    }
    return {**state, "fc.weight": torch.zeros(3, 128), "fc.bias": torch.zeros(3)}


def test_openmmlabs_deep_stem_is_loaded_under_our_names(
    tmp_path: Path, small_v1c: ResNet, published_v1c: State, store: Callable[[Any], WeightsConfig]
) -> None:
    load_start_weights(
        small_v1c, store({"meta": {"epoch": 1}, "state_dict": published_v1c}), tmp_path
    )
    loaded = small_v1c.state_dict()
    assert torch.equal(loaded["conv1.3.weight"], published_v1c["stem.3.weight"])
    assert torch.equal(loaded["bn1.running_mean"], published_v1c["stem.7.running_mean"])
    for name, tensor in loaded.items():
        if name.startswith("layer"):
            assert torch.equal(tensor, published_v1c[name]), name


def test_openmmlabs_weights_without_the_norms_counters_are_loaded_as_well(
    tmp_path: Path, small_v1c: ResNet, published_v1c: State, store: Callable[[Any], WeightsConfig]
) -> None:
    state = {k: v for k, v in published_v1c.items() if "num_batches" not in k}
    load_start_weights(small_v1c, store({"state_dict": state}), tmp_path)
    loaded = small_v1c.state_dict()
    assert torch.equal(loaded["layer1.0.conv1.weight"], state["layer1.0.conv1.weight"])


def test_what_does_not_fit_a_deep_stem_is_refused(
    tmp_path: Path,
    small_v1c: ResNet,
    published: State,
    published_v1c: State,
    store: Callable[[Any], WeightsConfig],
) -> None:
    lacking = {k: v for k, v in published_v1c.items() if k != "stem.4.weight"}
    refused(small_v1c, store({"state_dict": lacking}), tmp_path, r"missing: stem\.4\.weight")
    foreign = {**published_v1c, "extra": torch.zeros(1)}
    refused(small_v1c, store({"state_dict": foreign}), tmp_path, "left over: extra")
    refused(small_v1c, store(published), tmp_path, "left over: conv1.weight")
