"""CamVid is used where it lies; the dispatch of preparations by layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.data.camvid import prepare
from dmnet.data.manifest import Manifest, verify
from dmnet.data.prepare import LAYOUTS, prepare_dataset
from dmnet.errors import ConfigError, DataError, RunError

MakeConfig = Callable[..., DatasetConfig]
MakeSource = Callable[[Path], Path]


def test_manifest_points_at_the_source(
    tmp_path: Path, camvid_source: MakeSource, camvid_config: MakeConfig
) -> None:
    source = camvid_source(tmp_path / "camvid")
    folder = tmp_path / "data"
    prepare_dataset(camvid_config(), folder, tmp_path / "no archives", source)
    manifest = Manifest.load(folder)
    assert manifest.root == source
    assert manifest.splits == {"train": 3, "val": 2}
    assert len(list(folder.rglob("*.png"))) == 0
    assert verify(folder) == []


def test_void_needs_the_label_map(
    tmp_path: Path, camvid_source: MakeSource, camvid_config: MakeConfig
) -> None:
    source = camvid_source(tmp_path / "camvid")
    with pytest.raises(DataError, match=r"label value 11 .*0\.\.10 or 255"):
        prepare(camvid_config(label_map={}), source, tmp_path / "data")


@pytest.mark.parametrize("source", [None, Path("/nowhere/camvid")])
def test_missing_source_says_what_and_where(
    tmp_path: Path, camvid_config: MakeConfig, source: Path | None
) -> None:
    with pytest.raises(
        DataError, match=r"train\.txt, train/, trainannot/.*sources=PARENT-FOLDER"
    ) as caught:
        prepare_dataset(camvid_config(), tmp_path / "data", tmp_path, source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["/SegNet/CamVid/", "SegNet/CamVid/", "/somewhere/else/"])
def test_lists_that_name_where_the_publisher_had_the_files(
    tmp_path: Path, camvid_source: MakeSource, camvid_config: MakeConfig, prefix: str
) -> None:
    """The SegNet tutorial's do; the same files are the same dataset."""
    source = camvid_source(tmp_path / "camvid")
    prepare(camvid_config(), source, tmp_path / "plain")
    for split in ("train", "val"):
        pairs = [line.split() for line in (source / f"{split}.txt").read_text().splitlines()]
        lines = [f"{prefix}{image} {prefix}{label}\n" for image, label in pairs]
        (source / f"{split}.txt").write_text("".join(lines))
    prepare(camvid_config(), source, tmp_path / "published")
    plain, published = Manifest.load(tmp_path / "plain"), Manifest.load(tmp_path / "published")
    assert plain.fingerprint == published.fingerprint


def test_an_absolute_path_of_a_list_never_leaves_the_folder(
    tmp_path: Path, camvid_source: MakeSource, camvid_config: MakeConfig
) -> None:
    source = camvid_source(tmp_path / "camvid")
    outside = camvid_source(tmp_path / "other") / "train"
    for path in (f"{outside}/only_there.png", "/a/../../other/train/train_0.png"):
        (outside / "only_there.png").write_bytes((outside / "train_0.png").read_bytes())
        (source / "val.txt").write_text(f"{path} valannot/val_0.png\n")
        with pytest.raises(DataError, match=r"camvid/train/only_there\.png.*missing|leaves"):
            prepare(camvid_config(counts={}), source, tmp_path / "data")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_with_a_byte_order_mark(
    tmp_path: Path, camvid_source: MakeSource, camvid_config: MakeConfig, encoding: str
) -> None:
    source = camvid_source(tmp_path / "camvid")
    text = (source / "train.txt").read_text().replace("\n", "\r\n")
    (source / "train.txt").write_bytes(text.encode(encoding))
    prepare(camvid_config(), source, tmp_path / "data")
    assert Manifest.load(tmp_path / "data").splits["train"] == 3


def test_nothing_is_asked_for_that_is_joined_from_other_lists(
    tmp_path: Path, camvid_source: MakeSource, camvid_config: MakeConfig
) -> None:
    """CamVid has no list of trainval."""
    config = camvid_config(splits={"train": "trainval", "val": "val"}, counts={})
    with pytest.raises(DataError, match=r"train\.txt, .*val\.txt") as caught:
        prepare(config, None, tmp_path / "data")
    assert "trainval" not in str(caught.value)
    prepare(config, camvid_source(tmp_path / "camvid"), tmp_path / "data")
    assert Manifest.load(tmp_path / "data").splits["trainval"] == 5


def test_missing_list_is_named(
    tmp_path: Path, camvid_source: MakeSource, camvid_config: MakeConfig
) -> None:
    source = camvid_source(tmp_path / "camvid")
    (source / "val.txt").unlink()
    with pytest.raises(DataError, match=r"camvid/val\.txt is missing"):
        prepare(camvid_config(), source, tmp_path / "data")


def test_line_that_is_no_pair_is_named(
    tmp_path: Path, camvid_source: MakeSource, camvid_config: MakeConfig
) -> None:
    source = camvid_source(tmp_path / "camvid")
    with (source / "val.txt").open("a") as stream:
        stream.write("val/only_an_image.png\n")
    with pytest.raises(DataError, match=r"val\.txt:3: .*image label"):
        prepare(camvid_config(), source, tmp_path / "data")


def test_failed_preparation_takes_the_old_manifest_away(
    tmp_path: Path, camvid_source: MakeSource, camvid_config: MakeConfig
) -> None:
    source, folder = camvid_source(tmp_path / "camvid"), tmp_path / "data"
    prepare(camvid_config(), source, folder)
    (source / "val/val_0.png").unlink()
    with pytest.raises(DataError, match=r"val_0\.png"):
        prepare(camvid_config(), source, folder)
    assert not (folder / "manifest.json").exists()


def test_every_layout_has_a_preparation() -> None:
    assert set(LAYOUTS) == set(get_args(DatasetConfig.model_fields["layout"].annotation))


def test_layout_without_a_stand_in(tmp_path: Path, camvid_config: MakeConfig) -> None:
    generate = GenerateConfig(images={"train": 1}, height=16, width=16)
    with pytest.raises(ConfigError, match="no stand-in for layout camvid.*voc2012aug"):
        prepare_dataset(camvid_config(generate=generate), tmp_path / "data", tmp_path, None)


def test_folder_that_cannot_be_made_is_a_run_error(
    tmp_path: Path, camvid_config: MakeConfig
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="file/"):
        prepare_dataset(camvid_config(), tmp_path / "file/data", tmp_path, tmp_path)
