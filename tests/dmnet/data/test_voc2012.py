"""VOC 2012 + SBD: from two archives to one verified folder, or to a named error and no manifest."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from dmnet.config import ArchiveConfig, DatasetConfig
from dmnet.data import voc2012
from dmnet.data.decode import read_image, read_label
from dmnet.data.manifest import Manifest, verify
from dmnet.data.voc2012 import (
    SBD_ARCHIVE,
    SBD_ROOT,
    VOC_ARCHIVE,
    VOC_ROOT,
    palette,
    prepare,
    read_sbd_label,
)
from dmnet.errors import DataError

MakeConfig = Callable[..., DatasetConfig]
Members = dict[str, bytes]
Pack = Callable[[Path, Members], None]


def label_of(manifest: Manifest, split: str, sample: str) -> np.ndarray:
    (path,) = [label for _, label in manifest.pairs(split) if label.stem == sample]
    return read_label(path)


def ids(manifest: Manifest, split: str) -> list[str]:
    return [image.stem for image, _ in manifest.pairs(split)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data/tiny-voc"


@pytest.fixture
def prepared(voc_archives: Path, voc_config: MakeConfig, folder: Path) -> Manifest:
    prepare(voc_config(), voc_archives, folder)
    return Manifest.load(folder)


def test_splits(prepared: Manifest) -> None:
    # c is in SBD's train list and in VOC val: it must not be trained on.
    assert ids(prepared, "trainaug") == ["a", "b", "d", "e"]
    assert ids(prepared, "train") == ["a", "b"]
    assert ids(prepared, "val") == ["c"]
    assert ids(prepared, "trainval") == ["a", "b", "c"]
    lists = prepared.root / "ImageSets/Segmentation"
    assert (lists / "trainaug.txt").read_text() == "a\nb\nd\ne\n"


def test_sbd_labels_become_palette_pngs_with_equal_indices(prepared: Manifest) -> None:
    expected = np.zeros((10, 12), np.uint8)
    expected[4:, 5:] = 13
    assert np.array_equal(label_of(prepared, "trainaug", "d"), expected)
    with Image.open(prepared.root / "SegmentationClassAug/d.png") as image:
        assert image.mode == "P"
        assert image.convert("RGB").getpixel((11, 9)) == (192, 0, 128)  # VOC's colour of class 13


def test_voc_labels_win_over_sbd_and_keep_their_outline(
    prepared: Manifest, voc_members: tuple[Members, Members]
) -> None:
    copied = (prepared.root / "SegmentationClassAug/a.png").read_bytes()
    assert copied == voc_members[0][f"{VOC_ROOT}/SegmentationClass/a.png"]
    assert set(np.unique(label_of(prepared, "trainaug", "a"))) == {0, 1, 255}


def test_photograph_that_only_sbd_has_is_used(
    prepared: Manifest, voc_members: tuple[Members, Members]
) -> None:
    images = prepared.root / "JPEGImages"
    voc, sbd = voc_members
    assert (images / "e.jpg").read_bytes() == sbd[f"{SBD_ROOT}/img/e.jpg"]
    assert (images / "a.jpg").read_bytes() == voc[f"{VOC_ROOT}/JPEGImages/a.jpg"]
    assert read_image(images / "e.jpg").shape == (10, 12, 3)


def test_only_the_result_stays(prepared: Manifest, folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "VOCdevkit",
        "checksums.sha256",
        "lists",
        "manifest.json",
    ]
    assert not (prepared.root / "Annotations").exists()
    assert verify(folder) == []


def test_colours_of_the_development_kit() -> None:
    colours = np.array(palette()).reshape(256, 3)
    assert colours[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert colours[20].tolist() == [0, 64, 128]
    assert colours[255].tolist() == [224, 224, 192]


def test_missing_archives_are_named_with_url_and_place(
    tmp_path: Path, voc_config: MakeConfig, folder: Path
) -> None:
    config = voc_config(
        archives=(ArchiveConfig(file=VOC_ARCHIVE, url="http://voc.example/voc.tar"),)
    )
    with pytest.raises(DataError) as caught:
        prepare(config, tmp_path / "downloads", folder)
    message = str(caught.value)
    for part in (VOC_ARCHIVE, "http://voc.example/voc.tar", SBD_ARCHIVE, f"{tmp_path}/downloads/"):
        assert part in message
    assert "\n" not in message


def test_md5_is_compared(voc_archives: Path, voc_config: MakeConfig, folder: Path) -> None:
    md5 = hashlib.md5((voc_archives / SBD_ARCHIVE).read_bytes()).hexdigest()
    right = ArchiveConfig(file=SBD_ARCHIVE, url="http://sbd.example", md5=md5)
    prepare(voc_config(archives=(right,)), voc_archives, folder)
    wrong = right.model_copy(update={"md5": "0" * 32})
    with pytest.raises(DataError, match=rf"{SBD_ARCHIVE}: MD5 {md5}, expected 0000.*sbd\.example"):
        prepare(voc_config(archives=(wrong,)), voc_archives, folder)
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil-dmnet", f"{VOC_ROOT}/JPEGImages/../../x"])
def test_path_escape_is_refused(
    voc_archives: Path,
    voc_members: tuple[Members, Members],
    pack: Pack,
    voc_config: MakeConfig,
    folder: Path,
    name: str,
) -> None:
    pack(voc_archives / VOC_ARCHIVE, {**voc_members[0], name: b"evil"})
    with pytest.raises(DataError, match=rf"{VOC_ARCHIVE}.*leaves the archive's folder"):
        prepare(voc_config(), voc_archives, folder)
    assert list(folder.iterdir()) == []
    assert not list(folder.parent.glob("*evil*"))
    assert not Path("/tmp/evil-dmnet").exists()


def test_link_is_refused(voc_archives: Path, voc_config: MakeConfig, folder: Path) -> None:
    with tarfile.open(voc_archives / VOC_ARCHIVE, "a") as tar:
        link = tarfile.TarInfo(f"{VOC_ROOT}/JPEGImages/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    with pytest.raises(DataError, match="is a link"):
        prepare(voc_config(), voc_archives, folder)


@pytest.mark.parametrize("archive", [VOC_ARCHIVE, SBD_ARCHIVE])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.5])
def test_truncated_archive_is_named(
    voc_archives: Path, voc_config: MakeConfig, folder: Path, archive: str, part: float
) -> None:
    path = voc_archives / archive
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(DataError, match=rf"{archive}: truncated"):
        prepare(voc_config(), voc_archives, folder)
    assert list(folder.iterdir()) == []


def test_tar_cut_between_two_members_is_truncated(
    voc_archives: Path, voc_config: MakeConfig, folder: Path
) -> None:
    path = voc_archives / VOC_ARCHIVE
    with tarfile.open(path) as tar:
        cut = tar.getmembers()[-1].offset
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="truncated.*no end-of-archive mark"):
        prepare(voc_config(), voc_archives, folder)


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        (f"{VOC_ROOT}/ImageSets/Segmentation/train.txt", b"a\n../b\n", r"train\.txt.*'\.\./b'"),
        (f"{VOC_ROOT}/ImageSets/Segmentation/train.txt", b"a\nb\nz\n", r"SegmentationClass/z\.png"),
        (f"{VOC_ROOT}/ImageSets/Segmentation/train.txt", b"a\nc\n", "c is in train and in val"),
        (f"{VOC_ROOT}/ImageSets/Segmentation/val.txt", None, r"val\.txt is missing"),
        (f"{VOC_ROOT}/ImageSets/Segmentation/val.txt", b"", "split `val` is empty"),
        (f"{VOC_ROOT}/JPEGImages/a.jpg", b"\xff\xd8\xff\xe0", r"a\.jpg.*cannot be decoded"),
        (f"{SBD_ROOT}/val.txt", b"z\n", r"cls/z\.mat is listed but not in the archive"),
        (f"{SBD_ROOT}/cls/d.mat", b"no matrix", r"d\.mat.*not a readable MATLAB 5 file"),
        (f"{SBD_ROOT}/img/e.jpg", None, r"img/e\.jpg is listed but not in the archive"),
    ],
)
def test_incomplete_archive_leaves_no_manifest(
    voc_archives: Path,
    voc_members: tuple[Members, Members],
    pack: Pack,
    voc_config: MakeConfig,
    folder: Path,
    member: str,
    content: bytes | None,
    message: str,
) -> None:
    archive, members = (
        (VOC_ARCHIVE, voc_members[0])
        if member.startswith(VOC_ROOT)
        else (SBD_ARCHIVE, voc_members[1])
    )
    changed = {**members, member: content}
    pack(voc_archives / archive, {k: v for k, v in changed.items() if v is not None})
    with pytest.raises(DataError, match=message):
        prepare(voc_config(), voc_archives, folder)
    assert not (folder / "manifest.json").exists()
    assert not (folder / ".unpacking").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"other": np.zeros((2, 2))},
        {"GTcls": {"Boundaries": 1}},
        {"GTcls": np.zeros((2, 2))},
        {"GTcls": {"Segmentation": np.full((2, 2), 0.5)}},
        {"GTcls": {"Segmentation": np.full((2, 2), 300, np.uint16)}},
    ],
)
def test_mat_of_another_layout_is_refused(tmp_path: Path, content: dict) -> None:
    scipy.io.savemat(tmp_path / "x.mat", content)
    with pytest.raises(DataError, match=r"x\.mat.*GTcls\.Segmentation"):
        read_sbd_label(tmp_path / "x.mat")


def test_truncated_mat_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"GTcls": {"Segmentation": np.zeros((50, 50), np.uint8)}})
    (tmp_path / "x.mat").write_bytes(buffer.getvalue()[:-100])
    with pytest.raises(DataError, match=r"x\.mat"):
        read_sbd_label(tmp_path / "x.mat")


def test_counts_are_exact(voc_archives: Path, voc_config: MakeConfig, folder: Path) -> None:
    prepare(voc_config(counts={"trainaug": 4, "train": 2}), voc_archives, folder)
    with pytest.raises(DataError, match="`trainaug`: expected 5 images, found 4"):
        prepare(voc_config(counts={"trainaug": 5}), voc_archives, folder)
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize(
    "step", ["extract_tar", "_write_splits", "_write_labels", "write_manifest"]
)
def test_killed_preparation_starts_over(
    tmp_path: Path,
    voc_archives: Path,
    voc_config: MakeConfig,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(voc2012, step, die)
        # A killed process does not clean up either.
        patch.setattr(voc2012.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            prepare(voc_config(), voc_archives, folder)
    assert (folder / ".unpacking").exists()
    assert not (folder / "manifest.json").exists()

    prepare(voc_config(), voc_archives, folder)
    prepare(voc_config(), voc_archives, tmp_path / "undisturbed")
    undisturbed = Manifest.load(tmp_path / "undisturbed")
    assert Manifest.load(folder).fingerprint == undisturbed.fingerprint
    assert verify(folder) == []
    assert not (folder / ".unpacking").exists()


def test_prepared_dataset_is_replaced(
    prepared: Manifest, voc_archives: Path, voc_config: MakeConfig, folder: Path
) -> None:
    stray = prepared.root / "JPEGImages/stray.jpg"
    stray.write_text("from an earlier preparation")
    prepare(voc_config(), voc_archives, folder)
    assert Manifest.load(folder) == prepared
    assert not stray.exists()
