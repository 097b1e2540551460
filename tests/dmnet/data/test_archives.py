"""Archives from elsewhere: nothing leaves its folder, and damage is named."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmnet.config import ArchiveConfig, DatasetConfig
from dmnet.data.archives import Bounds, extract_tar, extract_zip, locate, read_ids, unpacking
from dmnet.errors import DataError

MEMBERS = {"top/a.txt": b"a" * 1000, "top/deep/b.txt": b"b" * 1000, "other/c.txt": b"c"}

Extract = Callable[..., None]


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)


WRITERS = {extract_tar: write_tar, extract_zip: write_zip}


@pytest.fixture(params=[extract_tar, extract_zip], ids=["tar", "zip"])
def extract(request: pytest.FixtureRequest) -> Extract:
    return request.param


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "in/target"
    folder.mkdir(parents=True)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_only_the_wanted_members(tmp_path: Path, target: Path, extract: Extract) -> None:
    WRITERS[extract](tmp_path / "x", MEMBERS)
    extract(tmp_path / "x", target, lambda path: path.parts[0] == "top")
    assert files(target) == ["top/a.txt", "top/deep/b.txt"]
    assert (target / "top/deep/b.txt").read_bytes() == MEMBERS["top/deep/b.txt"]


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil-dmnet", "top/../../evil", "top/.."])
def test_path_escape_is_refused(tmp_path: Path, target: Path, extract: Extract, name: str) -> None:
    WRITERS[extract](tmp_path / "x", {name: b"evil", **MEMBERS})
    with pytest.raises(DataError, match=r"x: member .* leaves the archive's folder"):
        extract(tmp_path / "x", target, lambda _: True)
    assert files(target) == []
    assert not list(tmp_path.rglob("*evil*"))
    assert not Path("/tmp/evil-dmnet").exists()


def test_escape_is_refused_even_if_the_member_is_not_wanted(
    tmp_path: Path, target: Path, extract: Extract
) -> None:
    WRITERS[extract](tmp_path / "x", {"../evil": b"evil"})
    with pytest.raises(DataError, match="leaves"):
        extract(tmp_path / "x", target, lambda _: False)


def test_link_in_a_zip_is_refused(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as packed:
        link = zipfile.ZipInfo("top")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc")
        packed.writestr("top/passwd", b"evil")
    with pytest.raises(DataError, match="'top' is a link"):
        extract_zip(tmp_path / "x", target, lambda _: True)
    assert files(target) == []


def test_link_in_a_tar_is_refused(tmp_path: Path, target: Path) -> None:
    with tarfile.open(tmp_path / "x", "w") as tar:
        link = tarfile.TarInfo("top")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    with pytest.raises(DataError, match="'top' is a link"):
        extract_tar(tmp_path / "x", target, lambda _: True)


def test_the_mode_that_a_tar_states_is_not_taken_over(tmp_path: Path, target: Path) -> None:
    with tarfile.open(tmp_path / "set-user-id.tar", "w") as tar:
        member = tarfile.TarInfo("top/a.txt")
        member.size, member.mode, member.uid = 1, 0o6777, 4321
        tar.addfile(member, io.BytesIO(b"a"))
    (tmp_path / "ordinary").touch()
    extract_tar(tmp_path / "set-user-id.tar", target, lambda _: True)
    assert (target / "top/a.txt").read_bytes() == b"a"
    written, ordinary = (target / "top/a.txt").stat(), (tmp_path / "ordinary").stat()
    assert (written.st_mode, written.st_uid) == (ordinary.st_mode, ordinary.st_uid)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6])
def test_truncated_archive_is_named(
    tmp_path: Path, target: Path, extract: Extract, part: float
) -> None:
    path = tmp_path / "x"
    WRITERS[extract](path, MEMBERS)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(DataError, match=r"x: truncated or not a (tar|zip) archive"):
        extract(path, target, lambda _: True)


def test_every_damaged_byte_of_a_zip_is_noticed_or_harmless(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "x"
    write_zip(path, {"top/a.txt": b"some content"})
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            extract_zip(path, target, lambda path: path == path.parent / "a.txt")
        except DataError:
            continue
        for file in target.rglob("a.txt"):
            assert file.read_bytes() == b"some content"


def test_encrypted_zip_is_refused(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "x"
    write_zip(path, {"a": b"content"})
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", content, content.index(signature) + at, 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        extract_zip(path, target, lambda _: True)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (Bounds(unpacked=10**6, members=2), r"x: 3 members or more, expected at most 2"),
        (Bounds(unpacked=1500), r"x: [0-9]+ bytes unpacked or more, expected at most 1500"),
    ],
)
@pytest.mark.parametrize("all_wanted", [True, False])
def test_an_archive_of_too_much_ends_at_the_stated_size(
    tmp_path: Path,
    target: Path,
    extract: Extract,
    bounds: Bounds,
    message: str,
    all_wanted: bool,
) -> None:
    """Also what is only skipped counts: it takes the time to decompress it."""
    WRITERS[extract](tmp_path / "x", MEMBERS)
    with pytest.raises(DataError, match=message):
        extract(tmp_path / "x", target, lambda _: all_wanted, bounds)
    assert sum(file.stat().st_size for file in target.rglob("*.txt")) <= bounds.unpacked


def test_a_sparse_file_in_a_tar_counts_with_its_whole_size(tmp_path: Path, target: Path) -> None:
    with tarfile.open(tmp_path / "x", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("top/a.txt")
        member.pax_headers = {"GNU.sparse.size": str(2**50), "GNU.sparse.map": "0,0"}
        tar.addfile(member)
    with pytest.raises(DataError, match=f"x: {2**50} bytes unpacked or more"):
        extract_tar(tmp_path / "x", target, lambda _: True)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE])
@pytest.mark.parametrize("size", [2**40, -1024])
def test_a_forged_size_in_a_tar_neither_fills_memory_nor_goes_back_for_ever(
    tmp_path: Path, target: Path, kind: bytes, size: int
) -> None:
    member = tarfile.TarInfo("top/a.txt")
    member.type, member.size = kind, size
    with gzip.open(tmp_path / "x", "wb") as stream:
        stream.write(bytes(member.tobuf(tarfile.GNU_FORMAT)) + bytes(2**16))
    with pytest.raises(DataError, match="x: "):
        extract_tar(tmp_path / "x", target, lambda _: True)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_damage_in_a_compressed_tar_is_the_archive_s_and_not_the_disk_s(
    tmp_path: Path, target: Path, compression: str
) -> None:
    path, content = tmp_path / "x", np.random.default_rng(0).bytes(200_000)
    with tarfile.open(path, f"w:{compression}") as tar:  # type: ignore[call-overload]
        member = tarfile.TarInfo("top/a.bin")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    extract_tar(path, target, lambda _: True)
    assert (target / "top/a.bin").read_bytes() == content
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="x: truncated or not a tar archive"):
        extract_tar(path, target, lambda _: True)


def test_a_file_in_the_place_of_a_folder_is_the_archive_s_fault(
    tmp_path: Path, target: Path, extract: Extract
) -> None:
    WRITERS[extract](tmp_path / "x", {"top": b"a file", "top/a.txt": b"below it"})
    with pytest.raises(DataError, match="x: truncated or not a"):
        extract(tmp_path / "x", target, lambda _: True)


def test_other_compressions_of_a_zip_are_refused(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_BZIP2) as packed:
        packed.writestr("a", b"content")
    with pytest.raises(DataError, match="a is neither stored nor deflated"):
        extract_zip(tmp_path / "x", target, lambda _: True)


def test_a_result_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result/old").touch()
    (tmp_path / ".unpacking/left/over").mkdir(parents=True)
    with pytest.raises(DataError), unpacking(tmp_path, "result") as work:
        assert list(work.iterdir()) == []
        (work / "result").mkdir()
        raise DataError("half way")
    assert list(tmp_path.iterdir()) == []
    with unpacking(tmp_path, "result") as work:
        (work / "result").mkdir()
        (work / "result/new").touch()
        (work / "scratch").touch()
    assert files(tmp_path) == ["result/new"]


def test_missing_files_are_named_with_what_to_do(
    tmp_path: Path, voc_config: Callable[..., DatasetConfig]
) -> None:
    (tmp_path / "here.zip").touch()
    config = voc_config(archives=(ArchiveConfig(file="a.zip", url="http://a.example"),))
    with pytest.raises(DataError) as caught:
        locate(config, tmp_path, ("a.zip", "here.zip", "b.zip"), "ask and download")
    message = str(caught.value)
    assert "missing a.zip (from http://a.example) and b.zip; ask and download" in message
    assert f"put into {tmp_path}/" in message


def test_ids_are_plain_names(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("2008_000002 \n\nb-1\n")
    assert read_ids(tmp_path / "train.txt", "x.tar") == {"2008_000002", "b-1"}
    (tmp_path / "train.txt").write_text("../a\n")
    with pytest.raises(DataError, match=r"x\.tar: train\.txt lists '\.\./a'"):
        read_ids(tmp_path / "train.txt", "x.tar")
    (tmp_path / "train.txt").write_text("2008_000002\r\n", encoding="utf-8-sig")
    assert read_ids(tmp_path / "train.txt", "x.tar") == {"2008_000002"}
    with pytest.raises(DataError, match=r"x\.tar: list val\.txt is missing"):
        read_ids(tmp_path / "val.txt", "x.tar")
