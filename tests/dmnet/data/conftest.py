"""Small datasets on disk for the data tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dmnet.config import DatasetConfig
from dmnet.data.manifest import Manifest
from dmnet.data.standins.voc2012 import sbd_mat
from dmnet.data.voc2012 import SBD_ARCHIVE, SBD_ROOT, VOC_ARCHIVE, VOC_ROOT, palette

HEIGHT, WIDTH = 10, 12

Members = dict[str, bytes]


def encode(array: np.ndarray, file_format: str, colours: list[int] | None = None) -> bytes:
    image = Image.fromarray(array)
    if colours is not None:
        image.putpalette(colours)
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def photograph(number: int = 0) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def label(number: int = 0) -> np.ndarray:
    """A class 1..20 in the lower right corner of the background."""
    array = np.zeros((HEIGHT, WIDTH), np.uint8)
    array[4:, 5:] = number % 20 + 1
    return array


def write_tar(path: Path, members: Members) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def voc_config() -> Callable[..., DatasetConfig]:
    def make(**changes: Any) -> DatasetConfig:
        values: dict[str, Any] = {
            "name": "tiny-voc",
            "title": "tiny",
            "layout": "voc2012aug",
            "classes": tuple(f"class {i}" for i in range(21)),
            "splits": {"train": "trainaug", "val": "val"},
        }
        return DatasetConfig(**{**values, **changes})

    return make


@pytest.fixture
def voc_members() -> tuple[Members, Members]:
    """Members of the two archives, by name.

    VOC train a, b; VOC val c; SBD train a, c, d and val e. The photograph of e is only in SBD.
    VOC outlines with 255, and its label of a differs from SBD's.
    """
    voc: Members = {
        f"{VOC_ROOT}/ImageSets/Segmentation/train.txt": b"a\nb\n",
        f"{VOC_ROOT}/ImageSets/Segmentation/val.txt": b"c\n",
        f"{VOC_ROOT}/Annotations/a.xml": b"<unused/>",
    }
    for number, sample in enumerate("abcd"):
        voc[f"{VOC_ROOT}/JPEGImages/{sample}.jpg"] = encode(photograph(number), "JPEG")
    for number, sample in enumerate("abc"):
        outlined = label(number)
        outlined[3, 4:] = 255
        voc[f"{VOC_ROOT}/SegmentationClass/{sample}.png"] = encode(outlined, "PNG", palette())
    sbd: Members = {f"{SBD_ROOT}/train.txt": b"a\nc\nd\n", f"{SBD_ROOT}/val.txt": b"e\n"}
    for number, sample in enumerate("acde", start=10):
        sbd[f"{SBD_ROOT}/cls/{sample}.mat"] = sbd_mat(label(number))
        sbd[f"{SBD_ROOT}/img/{sample}.jpg"] = encode(photograph(number), "JPEG")
    return voc, sbd


@pytest.fixture
def voc_archives(tmp_path: Path, voc_members: tuple[Members, Members]) -> Path:
    """Folder with both archives of `voc_members`."""
    folder = tmp_path / "archives"
    write_tar(folder / VOC_ARCHIVE, voc_members[0])
    write_tar(folder / SBD_ARCHIVE, voc_members[1])
    return folder


@pytest.fixture
def pack() -> Callable[[Path, Members], None]:
    return write_tar


@pytest.fixture
def camvid_source() -> Callable[[Path], Path]:
    """Write a made-up CamVid (train 3, val 2) into a folder; label 11 is void."""

    def make(folder: Path) -> Path:
        for split, count in (("train", 3), ("val", 2)):
            lines = []
            for number in range(count):
                indices = label(number) % 11
                indices[0] = 11
                for kind, array in (("", photograph(number)), ("annot", indices)):
                    path = folder / f"{split}{kind}" / f"{split}_{number}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(encode(array, "PNG"))
                lines.append(f"{split}/{split}_{number}.png {split}annot/{split}_{number}.png\n")
            (folder / f"{split}.txt").write_text("".join(lines))
        return folder

    return make


@pytest.fixture
def camvid_config() -> Callable[..., DatasetConfig]:
    def make(**changes: Any) -> DatasetConfig:
        values: dict[str, Any] = {
            "name": "tiny-camvid",
            "title": "tiny",
            "layout": "camvid",
            "classes": tuple(f"class {i}" for i in range(11)),
            "label_map": {11: 255},
            "splits": {"train": "train", "val": "val"},
            "counts": {"train": 3, "val": 2},
        }
        return DatasetConfig(**{**values, **changes})

    return make


@pytest.fixture
def killed_then_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Kill a preparation at a step of its module, repeat it, and ask for the undisturbed result.

    The published archives are in `tmp_path / "archives"`.
    """

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    def check(
        module: ModuleType, step: str, make: Callable[[], Manifest], config: DatasetConfig
    ) -> None:
        undisturbed = make()
        folder = undisturbed.folder

        def again() -> None:
            module.prepare(config, tmp_path / "archives", folder)

        with monkeypatch.context() as patch:
            patch.setattr(module, step, die)
            with pytest.raises(KeyboardInterrupt):
                again()
        assert not (folder / "manifest.json").exists()
        (folder / ".unpacking").mkdir(exist_ok=True)
        (folder / ".unpacking/left").touch()  # a killed process does not clean up
        again()
        assert Manifest.load(folder).fingerprint == undisturbed.fingerprint
        assert not (folder / ".unpacking").exists()

    return check
