"""The stand-ins in `params`: read by the real preparations, deterministic, every class present."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import yaml
from PIL import Image

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.data.ade20k import ARCHIVE as ADE_ARCHIVE
from dmnet.data.ade20k import ROOT as ADE_ROOT
from dmnet.data.cityscapes import LABEL_ARCHIVE
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.decode import read_image
from dmnet.data.manifest import Manifest, verify
from dmnet.data.pascal_context import FREQUENT, VOC_ARCHIVE
from dmnet.data.pascal_context import LABEL_ARCHIVE as CONTEXT_ARCHIVE
from dmnet.data.prepare import STANDINS, prepare_dataset
from dmnet.data.standins.scenes import (
    FORMS,
    HUES,
    TONES,
    Look,
    Thing,
    draw_scene,
    frequent_first,
)
from dmnet.errors import ConfigError

PARAMS = Path(__file__).parents[3] / "params/datasets"
NAMES = ("pascal-context-59", "pascal-context-60", "ade20k", "cityscapes")
LAYOUTS = ("pascal-context-60", "ade20k", "cityscapes")  # one of each layout


def config(name: str, **changes: Any) -> DatasetConfig:
    values = yaml.safe_load((PARAMS / f"{name}.yaml").read_text())
    return DatasetConfig(**{"name": name, **values, **changes})


def stand_in(name: str, **changes: Any) -> DatasetConfig:
    return config(f"{name}-procedural", **changes)


def small(name: str, seed: int = 0, revision: int = 1) -> DatasetConfig:
    splits = stand_in(name).splits
    images = {splits["train"]: 42, splits["val"]: 3}
    settings = GenerateConfig(seed=seed, revision=revision, images=images, height=32, width=40)
    return stand_in(name, counts={}, generate=settings)


def archives_of(folder: Path, settings: DatasetConfig) -> dict[str, bytes]:
    STANDINS[settings.layout](settings, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", params=NAMES)
def prepared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[DatasetConfig, Manifest]:
    settings = stand_in(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    prepare_dataset(settings, folder, folder / "no archives", None)
    return settings, Manifest.load(folder)


def test_prepared_like_the_real_dataset(prepared: tuple[DatasetConfig, Manifest]) -> None:
    settings, manifest = prepared
    assert manifest.stand_in and manifest.splits == settings.counts
    assert verify(manifest.folder) == []
    assert not [path for path in manifest.folder.iterdir() if path.name.startswith(".")]


def test_every_class_is_trained_and_frequent_ones_are_measured(
    prepared: tuple[DatasetConfig, Manifest],
) -> None:
    settings, manifest = prepared
    pixels = {}
    for role, split in settings.splits.items():
        dataset = SegmentationDataset(manifest, split, settings.identity)
        labels = np.concatenate([dataset.read(i)[1].ravel() for i in range(len(dataset))])
        pixels[role] = np.bincount(labels, minlength=256)
    classes = len(settings.classes)
    assert (pixels["train"][:classes] > 0).all()
    assert (pixels["val"][: min(classes, 15)] > 0).all()
    ignored = pixels["train"][255] / pixels["train"].sum()
    assert ignored == 0 if classes == 60 else 0.05 < ignored < 0.3


@pytest.mark.parametrize("name", NAMES)
def test_stand_in_has_the_classes_and_labels_of_its_real_dataset(name: str) -> None:
    real, drawn = config(name), stand_in(name)
    for field in ("layout", "classes", "label_map", "splits", "ignore_index"):
        assert getattr(real, field) == getattr(drawn, field)


@pytest.mark.parametrize("name", LAYOUTS)
def test_same_config_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    first = archives_of(tmp_path / "first", small(name))
    assert archives_of(tmp_path / "second", small(name)) == first
    for other in (small(name, seed=1), small(name, revision=2)):
        different = archives_of(tmp_path / f"other {other.generate}", other)
        assert different.keys() == first.keys() and different != first


@pytest.mark.parametrize("name", LAYOUTS)
def test_other_groups_or_classes_are_refused(tmp_path: Path, name: str) -> None:
    settings = small(name)
    assert settings.generate is not None
    one = settings.generate.model_copy(update={"images": {"train": 3}})
    with pytest.raises(ConfigError, match="exactly the keys (train, val|training, validation)"):
        archives_of(tmp_path, settings.model_copy(update={"generate": one}))
    with pytest.raises(ConfigError, match="2 `classes`; the stand-in of"):
        archives_of(tmp_path, settings.model_copy(update={"classes": ("a", "b")}))


def test_both_variants_of_pascal_context_are_one_set_of_images(tmp_path: Path) -> None:
    assert archives_of(tmp_path / "a", small("pascal-context-59")) == archives_of(
        tmp_path / "b", small("pascal-context-60")
    )


def test_format_of_pascal_context(tmp_path: Path) -> None:
    archives_of(tmp_path, small("pascal-context-60"))
    with tarfile.open(tmp_path / CONTEXT_ARCHIVE) as tar:
        members = {member.name: tar.extractfile(member) for member in tar}
        names = members["labels.txt"].read().decode().splitlines()
        (tmp_path / "x.mat").write_bytes(next(iter(list(members.values())[1:])).read())
    assert len(names) == 459 and names[396] == "397: table" and names[1] == "2: aeroplane"
    assert len(members) == 46
    frequent = (tmp_path / FREQUENT).read_text().splitlines()
    assert len(frequent) == 59 and {line.split(": ")[1] for line in frequent} >= {
        "diningtable",
        "bedcloth",
        "clothes",
    }
    label_map = scipy.io.loadmat(tmp_path / "x.mat")["LabelMap"]
    assert label_map.dtype == np.uint16 and label_map.ndim == 2
    with tarfile.open(tmp_path / VOC_ARCHIVE) as tar:
        photographs = [name for name in tar.getnames() if name.endswith(".jpg")]
        listed = tar.extractfile("VOCdevkit/VOC2010/ImageSets/Main/train.txt").read().split()
    assert len(photographs) > 45 and len(listed) > 42  # some have no label


def test_format_of_ade20k(tmp_path: Path) -> None:
    archives_of(tmp_path, small("ade20k"))
    with zipfile.ZipFile(tmp_path / ADE_ARCHIVE) as packed:
        packed.extractall(tmp_path / "x")
    images = sorted((tmp_path / "x" / ADE_ROOT / "images/training").iterdir())
    assert images[0].name == "ADE_train_00000001.jpg"
    opened = [Image.open(path) for path in images]
    assert {image.mode for image in opened} == {"RGB", "L", "CMYK"}
    sides = [min(image.size) for image in opened]
    assert min(sides) < 20 and max(sides) > 50
    label = Image.open(tmp_path / "x" / ADE_ROOT / "annotations/training/ADE_train_00000001.png")
    assert label.mode == "L"
    # CMYK is stored as Photoshop does, and read like any other photograph.
    assert 20 < read_image(images[38]).mean() < 230 and opened[38].mode == "CMYK"


def test_format_of_cityscapes(tmp_path: Path) -> None:
    archives_of(tmp_path, small("cityscapes"))
    with zipfile.ZipFile(tmp_path / LABEL_ARCHIVE) as packed:
        names = packed.namelist()
        packed.extractall(tmp_path / "x")
    root = tmp_path / "x/gtFine"
    kinds = {name.rsplit("_", 1)[1] for name in names}
    assert kinds == {"labelIds.png", "instanceIds.png", "color.png", "polygons.json"}
    (dummy, *_) = sorted(root.glob("test/*/*_labelIds.png"))
    assert np.unique(np.array(Image.open(dummy))).tolist() == [0]
    for path in sorted(root.glob("val/*/*_labelIds.png")):
        labels = np.array(Image.open(path))
        instances = np.array(Image.open(str(path).replace("labelIds", "instanceIds")))
        assert instances.dtype == np.uint16 and instances.max() >= 1000
        assert np.array_equal(np.where(instances >= 1000, instances // 1000, instances), labels)
        assert labels.shape == (32, 40) and labels.max() <= 33
        assert Image.open(str(path).replace("labelIds", "color")).mode == "RGBA"


def test_frequent_classes_come_first_and_complete_plans_leave_none_out() -> None:
    rng = np.random.default_rng(0)
    hands = frequent_first(rng, 150, 160, 6, complete=True)
    assert len(hands) == 160 and all(len(hand) == 6 for hand in hands)
    assert all(hand == sorted(hand) for hand in hands)
    counts = np.bincount(np.concatenate(hands), minlength=150)
    assert counts.min() >= 1 and counts[:10].sum() > 3 * counts[-10:].sum()
    assert sum(len(set(hand)) == 6 for hand in hands) > 0.9 * len(hands)
    tight = frequent_first(rng, 150, 10, 6, complete=True)
    assert sorted(np.concatenate(tight).tolist()) == list(range(60))


def test_looks_of_150_classes_differ_and_the_first_30_in_colour() -> None:
    looks = [Look.of(number) for number in range(HUES * TONES * FORMS)]
    assert len(set(looks)) == 150
    assert len({(look.hue, look.tone) for look in looks[:30]}) == 30


def test_a_scene_shows_what_its_labels_say() -> None:
    things = [Thing(label, Look.of(label)) for label in (7, 40, 75, 100, 149)]
    scene = draw_scene(np.random.default_rng(3), 80, 100, things[2:], regions=things[:2])
    assert scene.photograph.shape[:2] == scene.labels.shape == scene.instances.shape
    assert set(np.unique(scene.labels)) == {0, 7, 40, 75, 100, 149}
    assert set(np.unique(scene.instances)) == {0, 1, 2, 3}
    assert np.unique(scene.labels[0]).tolist() == [0]  # the uppermost fifth is background


# Of eight scenes' pixels. `make test-avx2` and `make test-default` draw them with fewer means.
DRAWN = "9b79009105e777526f072320ade182405477a987150b23de5a5d4c96916446bc"


def test_a_drawn_scene_is_the_same_on_every_processor() -> None:
    """Else a dataset's fingerprint, and so whether a run is out of date, would depend on it."""
    digest = hashlib.sha256()
    for seed in range(8):
        things = [Thing(n, Look((seed + n) % HUES, n % FORMS)) for n in range(1, FORMS + 1)]
        scene = draw_scene(np.random.default_rng(seed), 120, 160, things, things[:2])
        for plane in scene.photograph, scene.labels, scene.instances:
            digest.update(plane.tobytes())
    assert digest.hexdigest() == DRAWN, (
        "scenes are drawn otherwise than recorded. If that is meant, raise `revision` in "
        "params/datasets/*-procedural.yaml and record the new digest here"
    )
