"""Manifests: what is written is verified first; what is read is checked again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dmnet.config import DatasetConfig
from dmnet.data.manifest import Manifest, read_list, verify, write_manifest
from dmnet.errors import DataError

MakeConfig = Callable[..., DatasetConfig]
Pairs = dict[str, list[tuple[str, str]]]


@pytest.fixture
def root(tmp_path: Path, camvid_source: Callable[[Path], Path]) -> Path:
    return camvid_source(tmp_path / "source")


@pytest.fixture
def pairs(root: Path) -> Pairs:
    return {split: read_list(root / f"{split}.txt") for split in ("train", "val")}


def save_label(path: Path, value: int, size: tuple[int, int] = (12, 10)) -> None:
    Image.new("L", size, value).save(path)


def test_round_trip(tmp_path: Path, root: Path, pairs: Pairs, camvid_config: MakeConfig) -> None:
    folder = tmp_path / "data"
    written = write_manifest(folder, camvid_config(), root, pairs)
    manifest = Manifest.load(folder)
    assert manifest == written
    assert manifest.splits == {"train": 3, "val": 2}
    assert not manifest.stand_in
    assert manifest.pairs("train")[0] == (
        root / "train/train_0.png",
        root / "trainannot/train_0.png",
    )
    assert verify(folder) == []
    lists = b"".join((folder / f"lists/{split}.txt").read_bytes() for split in ("train", "val"))
    checksums = (folder / "checksums.sha256").read_bytes()
    assert manifest.fingerprint == hashlib.sha256(checksums + lists).hexdigest()
    assert (folder / "lists/val.txt").read_text().splitlines()[1] == (
        "val/val_1.png valannot/val_1.png"
    )


def test_checksums_are_in_the_format_of_sha256sum(
    tmp_path: Path, root: Path, pairs: Pairs, camvid_config: MakeConfig
) -> None:
    # `both` repeats every sample: each file is still listed once.
    everything = {**pairs, "both": pairs["train"] + pairs["val"]}
    write_manifest(tmp_path / "data", camvid_config(), root, everything)
    checksums = tmp_path / "data/checksums.sha256"
    names = [line.split("  ")[1] for line in checksums.read_text().splitlines()]
    assert names == sorted(set(names))
    assert len(names) == 10
    subprocess.run(["sha256sum", "--check", "--strict", str(checksums)], cwd=root, check=True)


def test_root_inside_the_folder_moves_with_it(
    tmp_path: Path,
    camvid_source: Callable[[Path], Path],
    pairs: Pairs,
    camvid_config: MakeConfig,
) -> None:
    source = camvid_source(tmp_path / "data/images")
    write_manifest(tmp_path / "data", camvid_config(), source, pairs)
    (tmp_path / "data").rename(tmp_path / "moved")
    manifest = Manifest.load(tmp_path / "moved")
    assert manifest.root == tmp_path / "moved/images"
    assert verify(tmp_path / "moved") == []


def test_fingerprint_tells_content_and_membership_not_place(
    tmp_path: Path,
    root: Path,
    pairs: Pairs,
    camvid_config: MakeConfig,
    camvid_source: Callable[[Path], Path],
) -> None:
    config = camvid_config(counts={})
    first = write_manifest(tmp_path / "a", config, root, pairs).fingerprint
    copy = camvid_source(tmp_path / "elsewhere/copy")
    assert write_manifest(tmp_path / "b", config, copy, pairs).fingerprint == first

    swapped = {"train": pairs["train"][:2], "val": [*pairs["val"], pairs["train"][2]]}
    assert write_manifest(tmp_path / "c", config, copy, swapped).fingerprint != first

    image = np.array(Image.open(copy / "train/train_0.png"))
    image[0, 0, 0] ^= 1
    Image.fromarray(image).save(copy / "train/train_0.png")
    assert write_manifest(tmp_path / "d", config, copy, pairs).fingerprint != first


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: (r / "val/val_0.png").unlink(), r"val_0\.png.*missing"),
        (lambda r: (r / "valannot/val_1.png").unlink(), r"valannot/val_1\.png.*missing"),
        (
            lambda r: save_label(r / "valannot/val_0.png", 12),
            r"valannot/val_0\.png.*value 12.*0\.\.10 or 255",
        ),
        (
            lambda r: save_label(r / "valannot/val_0.png", 0, (9, 8)),
            r"valannot/val_0\.png.*9x8.*12x10",
        ),
        (
            lambda r: Image.new("RGB", (12, 10)).save(r / "trainannot/train_1.png"),
            r"train_1\.png.*class index",
        ),
        (
            lambda r: (r / "train/train_2.png").write_bytes(
                (r / "train/train_2.png").read_bytes()[:150]
            ),
            r"train/train_2\.png.*cannot be decoded",
        ),
    ],
)
def test_bad_sample_writes_nothing(
    tmp_path: Path,
    root: Path,
    pairs: Pairs,
    camvid_config: MakeConfig,
    damage: Callable[[Path], object],
    message: str,
) -> None:
    damage(root)
    with pytest.raises(DataError, match=message):
        write_manifest(tmp_path / "data", camvid_config(), root, pairs)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val": []}, "split `val` is empty"),
        ({"val": [("a.png", "b.png")] * 2}, r"lists a\.png twice"),
        ({"val": [("a.png", "b.png")]}, "split `val`: expected 2 images, found 1"),
        ({"val": [("../a.png", "b.png")]}, "leaves the dataset's folder"),
        ({"val": [("/a.png", "b.png")]}, "leaves the dataset's folder"),
        ({"val": [("a b.png", "b.png")]}, "contains a space"),
    ],
)
def test_bad_split_is_refused(
    tmp_path: Path,
    root: Path,
    pairs: Pairs,
    camvid_config: MakeConfig,
    change: Pairs,
    message: str,
) -> None:
    with pytest.raises(DataError, match=message):
        write_manifest(tmp_path / "data", camvid_config(), root, {**pairs, **change})
    assert not (tmp_path / "data").exists()


def test_split_that_the_config_names_must_exist(
    tmp_path: Path, root: Path, pairs: Pairs, camvid_config: MakeConfig
) -> None:
    config = camvid_config(splits={"train": "trainaug", "val": "val"})
    with pytest.raises(DataError, match="`trainaug` does not exist.*train, val"):
        write_manifest(tmp_path / "data", config, root, pairs)


def test_load_names_the_next_step_when_unprepared(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.json.*snakemake"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.json", "{"),
        ("manifest.json", "[]"),
        ("manifest.json", '{"dataset": "x"}'),
        ("lists/val.txt", "val/val_0.png valannot/val_0.png\n"),
        ("checksums.sha256", ""),
    ],
)
def test_damaged_folder_is_refused(
    tmp_path: Path, root: Path, pairs: Pairs, camvid_config: MakeConfig, file: str, content: str
) -> None:
    write_manifest(tmp_path / "data", camvid_config(), root, pairs)
    (tmp_path / "data" / file).write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json.*damaged"):
        Manifest.load(tmp_path / "data")


def test_root_that_is_gone_is_named(
    tmp_path: Path, root: Path, pairs: Pairs, camvid_config: MakeConfig
) -> None:
    write_manifest(tmp_path / "data", camvid_config(), root, pairs)
    root.rename(tmp_path / "unmounted")
    with pytest.raises(DataError, match="source is gone"):
        Manifest.load(tmp_path / "data")


def test_unknown_and_empty_splits(
    tmp_path: Path, root: Path, pairs: Pairs, camvid_config: MakeConfig
) -> None:
    folder = tmp_path / "data"
    manifest = write_manifest(folder, camvid_config(), root, pairs)
    with pytest.raises(DataError, match="unknown split `test`; expected one of train, val"):
        manifest.pairs("test")
    (folder / "lists/val.txt").write_text("")
    with pytest.raises(DataError, match="split `val` is empty"):
        manifest.pairs("val")


def test_verify_reports_each_bad_file(
    tmp_path: Path, root: Path, pairs: Pairs, camvid_config: MakeConfig
) -> None:
    write_manifest(tmp_path / "data", camvid_config(), root, pairs)
    (root / "train/train_0.png").unlink()
    save_label(root / "valannot/val_0.png", 3)
    missing, damaged = verify(tmp_path / "data")
    assert missing == f"{root / 'train/train_0.png'}: missing"
    assert damaged.startswith(f"{root / 'valannot/val_0.png'}: damaged")


def test_rewriting_drops_splits_that_are_gone(
    tmp_path: Path, root: Path, pairs: Pairs, camvid_config: MakeConfig
) -> None:
    folder = tmp_path / "data"
    write_manifest(folder, camvid_config(), root, {**pairs, "extra": pairs["val"]})
    (folder / ".manifest.json.killed.tmp").write_text("{")
    write_manifest(folder, camvid_config(), root, pairs)
    assert sorted(path.name for path in folder.iterdir()) == [
        "checksums.sha256",
        "lists",
        "manifest.json",
    ]
    assert sorted(path.name for path in (folder / "lists").iterdir()) == ["train.txt", "val.txt"]
    assert set(json.loads((folder / "manifest.json").read_text())["splits"]) == {"train", "val"}


def test_a_pipe_in_the_place_of_a_list_is_named_and_not_waited_for(
    tmp_path: Path, root: Path, pairs: Pairs, camvid_config: MakeConfig
) -> None:
    write_manifest(tmp_path / "data", camvid_config(), root, pairs)
    (tmp_path / "data/checksums.sha256").unlink()
    os.mkfifo(tmp_path / "data/checksums.sha256")
    with pytest.raises(DataError, match=r"damaged \(.*checksums\.sha256: no plain file\)"):
        Manifest.load(tmp_path / "data")
