"""VOC 2012's test photographs: from the archive to a verified folder without a single label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dmnet.config import DatasetConfig
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.decode import read_image
from dmnet.data.manifest import NO_LABEL, Manifest, verify, write_manifest
from dmnet.data.prepare import prepare_dataset
from dmnet.data.standins.packing import jpeg
from dmnet.data.voc2012 import VOC_ROOT
from dmnet.data.voc2012_test import TEST_ARCHIVE, prepare
from dmnet.errors import DataError

PARAMS = Path(__file__).parents[3] / "params/datasets"
LIST = f"{VOC_ROOT}/ImageSets/Segmentation/test.txt"
SIZES = {"c": (7, 13), "a": (10, 12), "b": (1, 5)}  # height, width; in the list's order
MODES = {"c": "L", "a": "CMYK", "b": "RGB"}

Members = dict[str, bytes]


def config(name: str = "voc2012-test", **changes: Any) -> DatasetConfig:
    values = yaml.safe_load((PARAMS / f"{name}.yaml").read_text())
    return DatasetConfig(**{"name": name, **values, **changes})


TINY = config(counts={"test": 3}, archives=())


@pytest.fixture
def members() -> Members:
    """Three photographs of the task behind one of another; the list stands last."""
    files = {f"{VOC_ROOT}/Annotations/a.xml": b"<unused/>", f"{VOC_ROOT}/JPEGImages/z.jpg": b"?"}
    for number, (sample, size) in enumerate(SIZES.items()):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        files[f"{VOC_ROOT}/JPEGImages/{sample}.jpg"] = jpeg(pixels, MODES[sample])
    return files | {LIST: "".join(f"{sample}\n" for sample in SIZES).encode()}


@pytest.fixture
def read(
    tmp_path: Path, members: Members, pack: Callable[[Path, Members], None]
) -> Callable[..., Manifest]:
    def make(dataset: DatasetConfig = TINY) -> Manifest:
        pack(tmp_path / TEST_ARCHIVE, members)
        prepare(dataset, tmp_path, tmp_path / "data")
        return Manifest.load(tmp_path / "data")

    return make


def test_the_photographs_of_the_list_and_no_others(read: Callable[..., Manifest]) -> None:
    manifest = read()
    assert [image.name for image, _ in manifest.pairs("test")] == ["a.jpg", "b.jpg", "c.jpg"]
    assert {label.name for _, label in manifest.pairs("test")} == {NO_LABEL}
    assert len(list(manifest.root.glob("*/*.jpg"))) == 3
    assert not (manifest.root / "Annotations").exists()


def test_odd_sizes_grayscale_and_cmyk_are_read_as_rgb(read: Callable[..., Manifest]) -> None:
    for image, _ in read().pairs("test"):
        assert read_image(image).shape == (*SIZES[image.stem], 3)


def test_only_photographs_have_checksums(read: Callable[..., Manifest]) -> None:
    manifest = read()
    listed = (manifest.folder / "checksums.sha256").read_text().splitlines()
    assert [line.split()[1] for line in listed] == [f"JPEGImages/{i}.jpg" for i in "abc"]
    assert verify(manifest.folder) == []
    (manifest.root / "JPEGImages/b.jpg").write_bytes(b"other")
    (problem,) = verify(manifest.folder)
    assert "b.jpg: damaged" in problem


def test_reading_a_sample_with_its_label_is_refused(read: Callable[..., Manifest]) -> None:
    manifest = read()
    dataset = SegmentationDataset(manifest, "test", TINY.identity_of("test"))
    with pytest.raises(DataError, match=r"a\.jpg: has no label") as caught:
        dataset.read(0)
    assert "\n" not in str(caught.value)


def test_a_labelled_split_may_not_lack_a_label(read: Callable[..., Manifest]) -> None:
    manifest = read()
    labelled = DatasetConfig(
        name="x", title="x", layout="camvid", classes=("a", "b"), splits={"train": "t", "val": "t"}
    )
    with pytest.raises(DataError, match=r"split `t`: JPEGImages/a\.jpg has no label"):
        write_manifest(manifest.folder, labelled, manifest.root, {"t": [("JPEGImages/a.jpg", "-")]})


def test_without_the_archive_it_says_where_to_log_in_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepare(config(), tmp_path, tmp_path / "data")
    for words in (TEST_ARCHIVE, "log in", "host.robots.ox.ac.uk:8080", f"put into {tmp_path}/"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_file_of_that_name_is_refused(read: Callable[..., Manifest]) -> None:
    with pytest.raises(DataError, match=f"{TEST_ARCHIVE}: MD5 [0-9a-f]+, expected 9065beb2"):
        read(config(counts={"test": 3}))


def test_a_truncated_archive_leaves_no_manifest(
    read: Callable[..., Manifest], tmp_path: Path
) -> None:
    read()
    archive = tmp_path / TEST_ARCHIVE
    archive.write_bytes(archive.read_bytes()[:-12000])
    with pytest.raises(DataError, match=f"{TEST_ARCHIVE}: truncated"):
        prepare(TINY, tmp_path, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (f"{VOC_ROOT}/JPEGImages/b.jpg", r"JPEGImages/b\.jpg is listed but not in the archive"),
        (LIST, r"list test\.txt is missing"),
    ],
)
def test_a_file_that_is_not_in_the_archive_is_named(
    read: Callable[..., Manifest], members: Members, lost: str, words: str
) -> None:
    del members[lost]
    with pytest.raises(DataError, match=words):
        read()


def test_a_photograph_that_does_not_decode_is_named(
    read: Callable[..., Manifest], members: Members
) -> None:
    members[f"{VOC_ROOT}/JPEGImages/b.jpg"] = b"no photograph"
    with pytest.raises(DataError, match=r"b\.jpg: cannot be decoded"):
        read()


def test_the_number_of_photographs_is_checked(read: Callable[..., Manifest]) -> None:
    with pytest.raises(DataError, match="expected 1456 images, found 3"):
        read(config(archives=()))


def test_the_stand_in_is_read_by_the_real_preparation_and_always_the_same(tmp_path: Path) -> None:
    drawn = config("voc2012-test-procedural")
    for name in ("one", "two"):
        prepare_dataset(drawn, tmp_path / name, tmp_path, None)
    one, two = (Manifest.load(tmp_path / name) for name in ("one", "two"))
    assert one.fingerprint == two.fingerprint
    assert (one.stand_in, one.splits) == (True, {"test": 8})
    shapes = {read_image(image).shape for image, _ in one.pairs("test")}
    assert len(shapes) > 4
    assert any(side % 2 for shape in shapes for side in shape[:2])
