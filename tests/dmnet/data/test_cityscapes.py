"""Cityscapes: from the two archives to one verified folder, or to a named error."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dmnet.config import DatasetConfig
from dmnet.data import cityscapes
from dmnet.data.cityscapes import IMAGE_ARCHIVE, LABEL_ARCHIVE, prepare
from dmnet.data.dataset import UNKNOWN, SegmentationDataset, label_lookup
from dmnet.data.manifest import Manifest, verify
from dmnet.data.standins.packing import png
from dmnet.errors import DataError

PARAMS = Path(__file__).parents[3] / "params/datasets"
# The benchmark's label ids, in the order of its 19 classes.
EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
VAL = "val/frankfurt/frankfurt_000000_000294"

Members = dict[str, bytes | None]
Make = Callable[..., Manifest]


def config(**changes: Any) -> DatasetConfig:
    values = yaml.safe_load((PARAMS / "cityscapes.yaml").read_text())
    tiny = {"name": "tiny-city", "counts": {}, "archives": ()}
    return DatasetConfig(**{**values, **tiny, **changes})


def every_id() -> np.ndarray:
    return np.resize(np.arange(34, dtype=np.uint8), (8, 16))


@pytest.fixture
def members() -> Members:
    photograph = np.random.default_rng(0).integers(0, 256, (8, 16, 3), dtype=np.uint8)
    files: Members = {"leftImg8bit/license.txt": b"unused", "gtFine/README": b"unused"}
    for sample in (
        "train/aachen/aachen_000000_000019",
        "train/ulm/ulm_000000_000019",
        VAL,
        "test/berlin/berlin_000000_000019",
    ):
        files[f"leftImg8bit/{sample}_leftImg8bit.png"] = png(photograph)
        files[f"gtFine/{sample}_gtFine_labelIds.png"] = png(every_id())
        files[f"gtFine/{sample}_gtFine_instanceIds.png"] = png(every_id().astype(np.uint16) * 1000)
        files[f"gtFine/{sample}_gtFine_color.png"] = png(np.zeros((8, 16, 4), np.uint8))
        files[f"gtFine/{sample}_gtFine_polygons.json"] = b"{}"
    return files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data/tiny-city"


@pytest.fixture
def make(tmp_path: Path, members: Members, folder: Path) -> Make:
    """Prepare archives of `members` with some changed; None leaves one out."""

    def run(changes: Members | None = None, **values: Any) -> Manifest:
        (tmp_path / "archives").mkdir(exist_ok=True)
        for archive, top in ((IMAGE_ARCHIVE, "leftImg8bit/"), (LABEL_ARCHIVE, "gtFine/")):
            with zipfile.ZipFile(tmp_path / "archives" / archive, "w") as packed:
                for name, content in {**members, **(changes or {})}.items():
                    if name.startswith(top) and content is not None:
                        packed.writestr(name, content)
        prepare(config(**values), tmp_path / "archives", folder)
        return Manifest.load(folder)

    return run


def test_images_and_label_ids_of_train_and_val(make: Make, members: Members, folder: Path) -> None:
    manifest = make(counts={"train": 2, "val": 1})
    assert manifest.splits == {"train": 2, "val": 1}
    ((image, label),) = manifest.pairs("val")
    assert image.read_bytes() == members[f"leftImg8bit/{VAL}_leftImg8bit.png"]
    assert label.read_bytes() == members[f"gtFine/{VAL}_gtFine_labelIds.png"]
    unpacked = sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".txt")
    assert not [name for name in unpacked if "berlin" in name or "instance" in name]
    assert len([name for name in unpacked if name.endswith(".png")]) == 6
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["cityscapes", "lists"]
    assert verify(folder) == []


def test_label_ids_become_the_19_classes(make: Make) -> None:
    _, label = SegmentationDataset(make(), "val", config().identity).read(0)
    expected = [EVALUATED.index(i) if i in EVALUATED else 255 for i in every_id().ravel().tolist()]
    assert label.ravel().tolist() == expected


def test_every_id_that_no_label_has_is_unknown() -> None:
    lookup = label_lookup(config().identity)
    assert (lookup[34:255] == UNKNOWN).all()
    assert (lookup[:34] != UNKNOWN).all() and lookup[255] == 255
    classes = config().classes
    assert (classes[0], classes[13], classes[18]) == ("road", "car", "bicycle")


def test_license_plates_stored_as_255_are_ignored(make: Make) -> None:
    label = np.full((8, 16), 26, np.uint8)
    label[2:4] = 255
    manifest = make({f"gtFine/{VAL}_gtFine_labelIds.png": png(label)})
    _, read = SegmentationDataset(manifest, "val", config().identity).read(0)
    assert read.unique().tolist() == [13, 255]


@pytest.mark.parametrize("value", [34, 40, 254])
def test_unmapped_id_is_an_error(make: Make, folder: Path, value: int) -> None:
    label = every_id()
    label[3, 3] = value
    with pytest.raises(DataError, match=rf"000294_gtFine_labelIds\.png: label value {value} "):
        make({f"gtFine/{VAL}_gtFine_labelIds.png": png(label)})
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        (f"leftImg8bit/{VAL}_leftImg8bit.png", None, "leftImg8bit.*val/frankfurt/.*is not in it"),
        (f"gtFine/{VAL}_gtFine_labelIds.png", None, "gtFine.*val/frankfurt/.*is not in it"),
        (f"gtFine/{VAL}_gtFine_labelIds.png", b"\x89PNG", r"labelIds\.png: cannot be decoded"),
        (
            f"gtFine/{VAL}_gtFine_labelIds.png",
            png(np.zeros((8, 16, 4), np.uint8)),
            r"labelIds\.png: label of mode RGBA",
        ),
    ],
)
def test_wrong_content_is_named_and_leaves_no_manifest(
    make: Make, folder: Path, member: str, content: bytes | None, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make({member: content})
    assert "\n" not in str(caught.value)
    assert not (folder / "manifest.json").exists()
    assert not (folder / ".unpacking").exists()


def test_split_that_neither_archive_has(make: Make, members: Members) -> None:
    with pytest.raises(DataError, match=r"no file leftImg8bit/val/<city>/<id>_leftImg8bit\.png"):
        make({name: None for name in members if "frankfurt" in name})


def test_missing_archives_say_that_a_login_is_needed(tmp_path: Path, folder: Path) -> None:
    stated = yaml.safe_load((PARAMS / "cityscapes.yaml").read_text())["archives"]
    with pytest.raises(DataError) as caught:
        prepare(config(archives=stated), tmp_path / "downloads", folder)
    message = str(caught.value)
    for part in (
        IMAGE_ARCHIVE,
        LABEL_ARCHIVE,
        "register and log in at https://www.cityscapes-dataset.com, download",
        f"put into {tmp_path}/downloads/",
    ):
        assert part in message
    assert "\n" not in message


def test_counts_are_exact(make: Make, folder: Path) -> None:
    with pytest.raises(DataError, match="`train`: expected 2975 images, found 2"):
        make(counts={"train": 2975, "val": 1})
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize("archive", [IMAGE_ARCHIVE, LABEL_ARCHIVE])
def test_truncated_archive_is_named(make: Make, tmp_path: Path, folder: Path, archive: str) -> None:
    make()
    path = tmp_path / "archives" / archive
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"{archive}: truncated"):
        prepare(config(), tmp_path / "archives", folder)
    assert list(folder.iterdir()) == []


def test_evil_archive_is_refused(make: Make, folder: Path) -> None:
    with pytest.raises(DataError, match=rf"{LABEL_ARCHIVE}: member .* leaves"):
        make({"gtFine/val/../../../../evil_gtFine_labelIds.png": b"evil"})
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("step", ["extract_zip", "_pairs", "write_manifest"])
def test_killed_preparation_starts_over(
    make: Callable[..., Manifest], killed_then_repeated: Callable[..., None], step: str
) -> None:
    killed_then_repeated(cityscapes, step, make, config())
