"""Pascal-Context: 459 ids by name to 59 classes, VOC 2010's splits, or a named error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import yaml
from PIL import Image

from dmnet.config import DatasetConfig
from dmnet.data import pascal_context
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.decode import read_label
from dmnet.data.manifest import Manifest, verify
from dmnet.data.pascal_context import (
    FREQUENT,
    LABEL_ARCHIVE,
    VOC_ARCHIVE,
    VOC_ROOT,
    prepare,
    read_names,
)
from dmnet.data.standins.packing import jpeg, tar_archive
from dmnet.data.standins.pascal_context import ORIGINALS, all_names, label_mat
from dmnet.errors import ConfigError, DataError

PARAMS = Path(__file__).parents[3] / "params/datasets"
SKY, TABLE = 360, 397  # ids in labels.txt; in the order of the 59: 47 and 50

Members = dict[str, bytes | None]


def config(variant: int = 60, **changes: Any) -> DatasetConfig:
    values = yaml.safe_load((PARAMS / f"pascal-context-{variant}.yaml").read_text())
    tiny = {"name": "tiny-context", "counts": {}, "archives": ()}
    return DatasetConfig(**{**values, **tiny, **changes})


def names59() -> list[str]:
    return list(config(59).classes)


def numbered(names: list[str]) -> bytes:
    return "".join(f"{i}: {name}\n" for i, name in enumerate(names, start=1)).encode()


def original(number: int = 0) -> np.ndarray:
    array = np.zeros((10, 12), np.uint16)
    array[2] = 459  # a name that is none of the 59
    array[4:] = SKY
    array[6:, 5:] = [TABLE, *ORIGINALS][number]
    return array


@pytest.fixture
def voc() -> Members:
    """Train a, b, x; val c, y: x and y have no label. `jpeg` of 12x10 pixels each."""
    photograph = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    members: Members = {
        f"{VOC_ROOT}/ImageSets/Main/train.txt": b"b\na\nx\n",
        f"{VOC_ROOT}/ImageSets/Main/val.txt": b"c\ny\n",
        f"{VOC_ROOT}/ImageSets/Segmentation/train.txt": b"c\n",
        f"{VOC_ROOT}/Annotations/a.xml": b"<unused/>",
    }
    for sample in "abcxy":
        members[f"{VOC_ROOT}/JPEGImages/{sample}.jpg"] = jpeg(photograph)
    return members


@pytest.fixture
def labels() -> Members:
    spelled = {"table": "diningtable", "bedclothes": "bedcloth", "cloth": "clothes"}
    members: Members = {
        "labels.txt": numbered(all_names(names59())),
        # In another order than the ids, and with the three published differences.
        FREQUENT: numbered([spelled.get(name, name) for name in reversed(names59())]),
    }
    for number, sample in enumerate("abc"):
        members[f"trainval/{sample}.mat"] = label_mat(original(number))
    return members


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data/tiny-context"


@pytest.fixture
def make(tmp_path: Path, voc: Members, labels: Members, folder: Path) -> Callable[..., Manifest]:
    """Prepare the members of `voc` and `labels` with some changed; None leaves one out."""

    def run(
        changes: Members | None = None,
        classes: int = 60,
        changed_classes: tuple[str, ...] | None = None,
        **values: Any,
    ) -> Manifest:
        if changed_classes is not None:
            values["classes"] = changed_classes
        archives = tmp_path / "archives"
        changed = changes or {}
        of_labels = {**labels, **{k: v for k, v in changed.items() if not k.startswith(VOC_ROOT)}}
        of_voc = {**voc, **{k: v for k, v in changed.items() if k.startswith(VOC_ROOT)}}
        frequent = of_labels.pop(FREQUENT)
        for name, members in ((VOC_ARCHIVE, of_voc), (LABEL_ARCHIVE, of_labels)):
            with tar_archive(archives / name, packed=name.endswith("gz")) as add:
                for member, content in members.items():
                    if content is not None:
                        add(member, content)
        if frequent is not None:
            (archives / FREQUENT).write_bytes(frequent)
        prepare(config(classes, **values), archives, folder)
        return Manifest.load(folder)

    return run


def test_splits_are_vocs_main_lists_without_what_has_no_label(
    make: Callable[..., Manifest], folder: Path
) -> None:
    manifest = make(counts={"train": 2, "val": 1})
    assert [image.stem for image, _ in manifest.pairs("train")] == ["a", "b"]
    assert [image.stem for image, _ in manifest.pairs("val")] == ["c"]
    lists = manifest.root / "ImageSets/SegmentationContext"
    assert (lists / "train.txt").read_text() == "a\nb\n"
    assert sorted(p.name for p in (manifest.root / "JPEGImages").iterdir()) == [
        "a.jpg",
        "b.jpg",
        "c.jpg",
    ]
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["VOCdevkit", "lists"]
    assert verify(folder) == []


def test_labels_are_numbered_in_the_order_of_the_459_ids(make: Callable[..., Manifest]) -> None:
    manifest = make()
    path = manifest.pairs("train")[0][1]
    expected = np.zeros((10, 12), np.uint8)
    expected[4:], expected[6:, 5:] = 47, 50
    assert np.array_equal(read_label(path), expected)
    with Image.open(path) as image:
        assert image.mode == "P"
    classes = config(60).classes
    assert (classes[47], classes[50]) == ("sky", "table")
    assert len(ORIGINALS) == 59 and list(ORIGINALS) == sorted(ORIGINALS)


@pytest.mark.parametrize(("classes", "sky", "background"), [(60, 47, 0), (59, 46, 255)])
def test_the_variants_differ_only_in_the_label_map(
    make: Callable[..., Manifest], classes: int, sky: int, background: int
) -> None:
    manifest = make(classes=classes)
    dataset = SegmentationDataset(manifest, "train", config(classes).identity)
    _, label = dataset.read(0)
    assert int(label[5, 0]) == sky and int(label[0, 0]) == background
    assert dataset.data.classes == classes


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        (f"{VOC_ROOT}/ImageSets/Main/val.txt", None, r"val\.txt is missing"),
        (f"{VOC_ROOT}/ImageSets/Main/val.txt", b"a\n", "a is in train and in val"),
        (f"{VOC_ROOT}/ImageSets/Main/val.txt", b"y\n", "split `val` is empty"),
        (f"{VOC_ROOT}/ImageSets/Main/val.txt", b"c ../y\n", r"val\.txt lists '\.\./y'"),
        (f"{VOC_ROOT}/JPEGImages/b.jpg", None, r"JPEGImages/b\.jpg is listed but not in"),
        (f"{VOC_ROOT}/JPEGImages/b.jpg", b"\xff\xd8\xff", r"b\.jpg.*cannot be decoded"),
        ("trainval/c.mat", b"no matrix", r"c\.mat: not a readable MATLAB 5 file"),
        ("trainval/c.mat", label_mat(np.full((10, 12), 460)), r"c\.mat: label 460, .*0\.\.459"),
        ("trainval/c.mat", label_mat(np.zeros((9, 12))), r"c\.png: label is 12x9, its image"),
        ("labels.txt", None, r"labels\.txt: missing or unreadable"),
        ("labels.txt", b"1: a\n3: b\n", r"labels\.txt: line '3: b', expected `2: `"),
        ("labels.txt", b"1: sky\n2: tree\n", r"59_labels\.txt: `wood` is not one of the 2 names"),
        (FREQUENT, b"1: sky\n", r"59_labels\.txt: 1 names, expected 59"),
        (FREQUENT, b"1: sky\n2: sky\n", r"59_labels\.txt: line '2: sky', expected `2: ` and a new"),
    ],
)
def test_wrong_content_is_named_and_leaves_no_manifest(
    make: Callable[..., Manifest],
    folder: Path,
    member: str,
    content: bytes | None,
    message: str,
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make({member: content})
    assert "\n" not in str(caught.value)
    assert not (folder / "manifest.json").exists()
    assert not (folder / ".unpacking").exists()


def test_name_that_is_not_in_the_459_is_named(make: Callable[..., Manifest]) -> None:
    names = ["skies" if name == "sky" else name for name in names59()]
    with pytest.raises(DataError, match=r"59_labels\.txt: `skies` is not one of the 459 names"):
        make({FREQUENT: numbered(names)})


def test_two_names_for_one_class_are_refused(make: Callable[..., Manifest]) -> None:
    names = ["diningtable" if name == "sky" else name for name in names59()]
    with pytest.raises(DataError, match="two of its names are one class"):
        make({FREQUENT: numbered(names)})


def test_pascal_parts_archive_of_the_same_name_is_told_apart(
    make: Callable[..., Manifest], tmp_path: Path
) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"anno": {"imname": "a", "objects": np.zeros(2)}})
    with pytest.raises(DataError, match="no matrix LabelMap of integers.*Pascal-Part"):
        make({"trainval/a.mat": (tmp_path / "a.mat").read_bytes()})


def test_no_labels_at_all(make: Callable[..., Manifest]) -> None:
    with pytest.raises(DataError, match=r"trainval\.tar\.gz: no file trainval/<id>\.mat"):
        make({f"trainval/{sample}.mat": None for sample in "abc"})


def test_other_classes_or_another_order_are_a_config_error(make: Callable[..., Manifest]) -> None:
    swapped = ("background", "bag", "aeroplane", *config(59).classes[2:])
    with pytest.raises(ConfigError, match=r"`classes\.1` is bag, expected aeroplane"):
        make(changed_classes=swapped)
    with pytest.raises(ConfigError, match="21 `classes`; expected the 59"):
        make(changed_classes=tuple(f"c{i}" for i in range(21)))


def test_missing_files_are_named_with_url_and_place(tmp_path: Path, folder: Path) -> None:
    stated = yaml.safe_load((PARAMS / "pascal-context-60.yaml").read_text())["archives"]
    published = config(archives=stated)
    with pytest.raises(DataError) as caught:
        prepare(published, tmp_path / "downloads", folder)
    for part in (VOC_ARCHIVE, LABEL_ARCHIVE, FREQUENT, "roozbeh", f"{tmp_path}/downloads/"):
        assert part in str(caught.value)


def test_counts_are_exact(make: Callable[..., Manifest], folder: Path) -> None:
    with pytest.raises(DataError, match="`train`: expected 4998 images, found 2"):
        make(counts={"train": 4998})
    assert not (folder / "manifest.json").exists()


def test_truncated_archive_is_named(
    make: Callable[..., Manifest], tmp_path: Path, folder: Path
) -> None:
    make()
    path = tmp_path / "archives" / LABEL_ARCHIVE
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=rf"{LABEL_ARCHIVE}: truncated"):
        prepare(config(), tmp_path / "archives", folder)
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize(
    "step", ["extract_tar", "_write_splits", "_write_labels", "write_manifest"]
)
def test_killed_preparation_starts_over(
    make: Callable[..., Manifest], killed_then_repeated: Callable[..., None], step: str
) -> None:
    killed_then_repeated(pascal_context, step, make, config())


def test_names_are_read_without_their_spaces(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1: potted plant \r\n2:sky\n\n")
    assert read_names(tmp_path / "x.txt") == ["pottedplant", "sky"]
