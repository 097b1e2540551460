"""ADE20K: from the challenge's archive to one verified folder, or to a named error."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from dmnet.config import DatasetConfig
from dmnet.data import ade20k
from dmnet.data.ade20k import ARCHIVE, ROOT, prepare
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.decode import read_image
from dmnet.data.manifest import Manifest, verify
from dmnet.errors import DataError

PARAMS = Path(__file__).parents[3] / "params/datasets"

Members = dict[str, bytes | None]
Make = Callable[..., Manifest]


def config(**changes: Any) -> DatasetConfig:
    values = yaml.safe_load((PARAMS / "ade20k.yaml").read_text())
    tiny = {"name": "tiny-ade", "counts": {}, "archives": ()}
    return DatasetConfig(**{**values, **tiny, **changes})


def encode(image: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def sample(name: str, mode: str = "RGB", size: tuple[int, int] = (12, 10)) -> Members:
    """An image of one colour and its label: 150 in the second row, 0 in the first, 1 below."""
    label = np.ones(size[::-1], np.uint8)
    label[:2] = 150
    label[:1] = 0
    colour = Image.new("RGB", size, (200, 100, 50)).convert(mode)
    return {
        f"{ROOT}/images/{name}.jpg": encode(colour, "JPEG"),
        f"{ROOT}/annotations/{name}.png": encode(Image.fromarray(label), "PNG"),
    }


@pytest.fixture
def members() -> Members:
    return {
        f"{ROOT}/": b"",
        f"{ROOT}/objectInfo150.txt": b"Idx\tName\n",
        f"{ROOT}/sceneCategories.txt": b"unused",
        **sample("training/ADE_train_00000001"),
        **sample("training/ADE_train_00000002", "L"),
        **sample("training/ADE_train_00000003", "CMYK"),
        **sample("training/ADE_train_00000004", size=(2, 2)),
        **sample("training/ADE_train_00000005", size=(900, 1)),
        **sample("validation/ADE_val_00000001"),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data/tiny-ade"


@pytest.fixture
def make(tmp_path: Path, members: Members, folder: Path) -> Make:
    """Prepare an archive of `members` with some changed; None leaves one out."""

    def run(changes: Members | None = None, **values: Any) -> Manifest:
        (tmp_path / "archives").mkdir(exist_ok=True)
        with zipfile.ZipFile(tmp_path / "archives" / ARCHIVE, "w") as packed:
            for name, content in {**members, **(changes or {})}.items():
                if content is not None:
                    packed.writestr(name, content)
        prepare(config(**values), tmp_path / "archives", folder)
        return Manifest.load(folder)

    return run


def test_samples_are_the_archives_files(make: Make, members: Members, folder: Path) -> None:
    manifest = make(counts={"training": 5, "validation": 1})
    assert manifest.splits == {"training": 5, "validation": 1}
    for split in manifest.splits:
        for pair in manifest.pairs(split):
            for path in pair:
                name = path.relative_to(manifest.root).as_posix()
                assert path.read_bytes() == members[f"{ROOT}/{name}"]
    assert sorted(p.name for p in manifest.root.iterdir()) == ["annotations", "images"]
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == [ROOT, "lists"]
    assert verify(folder) == []


def test_labels_shift_by_one_and_0_is_ignored(make: Make) -> None:
    dataset = SegmentationDataset(make(), "training", config().identity)
    _, label = dataset.read(0)
    assert label[0].unique().tolist() == [255]
    assert label[1].unique().tolist() == [149]
    assert label[2:].unique().tolist() == [0]


def test_grayscale_and_cmyk_become_rgb_and_any_size_is_kept(make: Make) -> None:
    images = [read_image(image) for image, _ in make().pairs("training")]
    assert [image.shape for image in images] == [(10, 12, 3)] * 3 + [(2, 2, 3), (1, 900, 3)]
    assert np.abs(images[0].astype(int) - (200, 100, 50)).max() < 8
    assert np.ptp(images[1], axis=2).max() == 0
    assert np.abs(images[2].astype(int) - (200, 100, 50)).max() < 8


@pytest.mark.parametrize("value", [151, 254])
def test_label_beyond_150_is_named(make: Make, folder: Path, value: int) -> None:
    label = encode(Image.fromarray(np.full((10, 12), value, np.uint8)), "PNG")
    with pytest.raises(DataError, match=rf"ADE_val_00000001\.png: label value {value}"):
        make({f"{ROOT}/annotations/validation/ADE_val_00000001.png": label})
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("annotations/training/ADE_train_00000002.png", None, "ADE_train_00000002 has no label"),
        ("images/training/ADE_train_00000002.jpg", None, "ADE_train_00000002 has no image"),
        ("images/validation/ADE_val_00000001.jpg", None, r"images/validation/<id>\.jpg in it"),
        ("images/training/ADE_train_00000002.jpg", b"\xff\xd8", r"00002\.jpg.*cannot be decoded"),
    ],
)
def test_wrong_content_is_named_and_leaves_no_manifest(
    make: Make, folder: Path, member: str, content: bytes | None, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make({f"{ROOT}/{member}": content})
    assert "\n" not in str(caught.value)
    assert not (folder / "manifest.json").exists()
    assert not (folder / ".unpacking").exists()


def test_colour_label_is_refused(make: Make) -> None:
    label = encode(Image.new("RGB", (12, 10)), "PNG")
    with pytest.raises(DataError, match=r"ADE_val_00000001\.png: label of mode RGB"):
        make({f"{ROOT}/annotations/validation/ADE_val_00000001.png": label})


def test_missing_archive_is_named_with_url_and_place(tmp_path: Path, folder: Path) -> None:
    published = config(archives=yaml.safe_load((PARAMS / "ade20k.yaml").read_text())["archives"])
    with pytest.raises(
        DataError, match=rf"missing {ARCHIVE} \(from http://data\.csail.*; download"
    ):
        prepare(published, tmp_path / "downloads", folder)


def test_counts_are_exact(make: Make, folder: Path) -> None:
    with pytest.raises(DataError, match="`training`: expected 20210 images, found 5"):
        make(counts={"training": 20210})
    assert not (folder / "manifest.json").exists()


def test_truncated_or_evil_archive_is_named(make: Make, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match=rf"{ARCHIVE}: member .* leaves"):
        make({f"{ROOT}/images/training/../../../../evil.jpg": b"evil"})
    assert list(folder.iterdir()) == []
    make()
    path = tmp_path / "archives" / ARCHIVE
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"{ARCHIVE}: truncated"):
        prepare(config(), tmp_path / "archives", folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("step", ["extract_zip", "_pairs", "write_manifest"])
def test_killed_preparation_starts_over(
    make: Callable[..., Manifest], killed_then_repeated: Callable[..., None], step: str
) -> None:
    killed_then_repeated(ade20k, step, make, config())


def test_published_names() -> None:
    classes = config().classes
    assert len(classes) == len(set(classes)) == 150
    assert [classes[i] for i in (0, 1, 12, 20, 149)] == [
        "wall",
        "building",
        "person",
        "car",
        "flag",
    ]
