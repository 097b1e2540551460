"""The stand-in of VOC 2012: the real archives' format, deterministic, every class present."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.data.decode import read_image, read_label
from dmnet.data.manifest import Manifest, verify
from dmnet.data.prepare import prepare_dataset
from dmnet.data.standins.voc2012 import draw_scene, generate, sbd_mat
from dmnet.data.voc2012 import SBD_ARCHIVE, VOC_ARCHIVE, read_sbd_label
from dmnet.errors import ConfigError
from dmnet.lock import run_lock

MakeConfig = Callable[..., DatasetConfig]


def settings(seed: int = 0, revision: int = 1) -> GenerateConfig:
    return GenerateConfig(
        seed=seed,
        revision=revision,
        images={"train": 12, "sbd": 40, "val": 30},
        height=40,
        width=50,
    )


@pytest.fixture
def manifest(tmp_path: Path, voc_config: MakeConfig) -> Manifest:
    config = voc_config(generate=settings(), counts={"trainaug": 52, "train": 12, "val": 30})
    prepare_dataset(config, tmp_path / "data", tmp_path / "none", None)
    return Manifest.load(tmp_path / "data")


def test_another_preparation_is_waited_for(
    tmp_path: Path, voc_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a Snakemake that was killed alone: it would delete what this one has made."""
    config = voc_config(generate=settings(), counts={"trainaug": 52, "train": 12, "val": 30})
    arguments = (config, tmp_path / "data", tmp_path / "none", None)
    thread = threading.Thread(target=prepare_dataset, args=arguments)
    with run_lock(tmp_path / ".locks" / "data.lock"):
        thread.start()
        while "data is being prepared by process" not in caplog.text:
            assert thread.is_alive()
            time.sleep(0.01)
        assert not (tmp_path / "data").exists()
    thread.join()
    assert Manifest.load(tmp_path / "data").stand_in


def test_prepared_like_the_real_dataset(manifest: Manifest, tmp_path: Path) -> None:
    assert manifest.stand_in
    assert manifest.splits == {"train": 12, "trainaug": 52, "trainval": 42, "val": 30}
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "VOCdevkit",
        "checksums.sha256",
        "lists",
        "manifest.json",
    ]
    trainaug = {image.stem for image, _ in manifest.pairs("trainaug")}
    val = {image.stem for image, _ in manifest.pairs("val")}
    assert not trainaug & val
    assert verify(tmp_path / "data") == []


def test_val_shows_every_class_and_only_voc_labels_are_outlined(manifest: Manifest) -> None:
    val = [read_label(label) for _, label in manifest.pairs("val")]
    assert set(np.unique(np.concatenate([label.ravel() for label in val]))) == {*range(21), 255}
    own = {label for _, label in manifest.pairs("train")}
    for _, path in manifest.pairs("trainaug"):
        assert (255 in read_label(path)) == (path in own)


def test_photographs_vary_in_size_shape_and_colour(manifest: Manifest) -> None:
    images = [image for image, _ in manifest.pairs("trainaug") + manifest.pairs("val")]
    shapes = {read_image(image).shape[:2] for image in images}
    assert {h > w for h, w in shapes} == {True, False}
    assert all(min(shape) >= 34 and max(shape) <= 57 for shape in shapes)
    modes = [Image.open(image).mode for image in images]
    assert modes.count("L") == 2
    assert set(modes) == {"L", "RGB"}


def test_same_config_gives_the_same_bytes(tmp_path: Path, voc_config: MakeConfig) -> None:
    def archives(folder: str, **changes: int) -> list[bytes]:
        generate(voc_config(generate=settings(**changes)), tmp_path / folder)
        return [(tmp_path / folder / name).read_bytes() for name in (VOC_ARCHIVE, SBD_ARCHIVE)]

    first = archives("first")
    assert archives("second") == first
    assert archives("other seed", seed=1) != first
    assert archives("other revision", revision=2) != first


def test_preparing_again_gives_the_same_dataset(
    manifest: Manifest, tmp_path: Path, voc_config: MakeConfig
) -> None:
    leftover = tmp_path / "data/.generated-archives"
    leftover.mkdir()
    (leftover / VOC_ARCHIVE).write_text("half an archive")
    prepare_dataset(voc_config(generate=settings()), tmp_path / "data", tmp_path / "none", None)
    assert Manifest.load(tmp_path / "data").fingerprint == manifest.fingerprint
    assert not leftover.exists()


def test_mat_has_the_fields_of_sbd(tmp_path: Path) -> None:
    labels = np.zeros((9, 11), np.uint8)
    labels[2:7, 3:8] = 5
    (tmp_path / "x.mat").write_bytes(sbd_mat(labels))
    struct = scipy.io.loadmat(tmp_path / "x.mat")["GTcls"][0, 0]
    assert struct.dtype.names == ("Boundaries", "Segmentation", "CategoriesPresent")
    assert struct["Segmentation"].dtype == np.uint8
    assert struct["CategoriesPresent"].tolist() == [[5]]
    assert struct["Boundaries"].shape == (20, 1)
    assert struct["Boundaries"][4, 0].sum() == 16  # the rim of a 5x5 square
    assert np.array_equal(read_sbd_label(tmp_path / "x.mat"), labels)


def test_scene_labels_match_what_is_drawn() -> None:
    scene = draw_scene(np.random.default_rng(0), 80, 100, [3, 14])
    assert scene.photograph.shape[:2] == scene.labels.shape == scene.instances.shape
    assert set(np.unique(scene.labels)) == {0, 3, 14}
    outlined = scene.outlined()
    kept = outlined != 255
    assert np.array_equal(outlined[kept], scene.labels[kept])
    assert {0, 3, 14} <= set(np.unique(outlined))


def test_other_groups_or_classes_are_refused(tmp_path: Path, voc_config: MakeConfig) -> None:
    other = settings().model_copy(update={"images": {"train": 3}})
    with pytest.raises(ConfigError, match="train, sbd, val"):
        generate(voc_config(generate=other), tmp_path)
    with pytest.raises(ConfigError, match="2 `classes`.*21"):
        generate(voc_config(generate=settings(), classes=("a", "b")), tmp_path)
