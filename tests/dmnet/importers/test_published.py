"""weights/: what lies there is verified, what lacks is fetched, and a wrong file is never used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dmnet.config import PublishedFile
from dmnet.errors import CheckpointError
from dmnet.importers.fetching import NoNetworkError, fetch
from dmnet.importers.published import require

README = b"the file of the README"
PACKAGE = b"the file of the released package"


def published(content: bytes, name: str, hashed: bool = True, url: str = "") -> PublishedFile:
    return PublishedFile(
        file=f"{name}.pth",
        urls=(url or f"http://127.0.0.1:1/{name}.pth",),  # nobody listens there
        sha256_prefix=hashlib.sha256(content).hexdigest()[:8] if hashed else None,
    )


FILES = (published(README, "readme"), published(PACKAGE, "package"))
UNHASHED = (published(b"", "unhashed", hashed=False),)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


def kept(weights: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in weights.iterdir() if file.is_file()}


def test_either_publication_of_a_checkpoint_is_it(weights: Path) -> None:
    (weights / "package.pth").write_bytes(PACKAGE)
    found = require(FILES, weights, "it is")
    assert found.published == FILES[1] and found.verified
    assert found.sha256 == hashlib.sha256(PACKAGE).hexdigest()


def test_the_hash_and_not_the_name_says_which_one_it_is(weights: Path) -> None:
    (weights / "readme.pth").write_bytes(PACKAGE)
    assert require(FILES, weights, "it is").published == FILES[1]


def test_a_wrong_hash_is_refused_although_the_name_is_right(weights: Path) -> None:
    (weights / "readme.pth").write_bytes(README[:-1])
    with pytest.raises(CheckpointError, match="does not start with") as caught:
        require(FILES, weights, "it is")
    assert str(caught.value).startswith(f"{weights / 'readme.pth'}: ")


def test_a_missing_file_is_named_with_its_address_and_the_command(weights: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        require(FILES, weights, "the checkpoint is")
    assert str(caught.value) == (
        f"{weights}/readme.pth: the checkpoint is missing; download http://127.0.0.1:1/readme.pth "
        "to this place, or give the same --config to `python -m dmnet fetch` (without a network: "
        "--mirror DIR)"
    )


def test_without_a_published_hash_the_origin_is_unproven(weights: Path) -> None:
    (weights / "unhashed.pth").write_bytes(b"anything")
    assert require(UNHASHED, weights, "it is").verified is False


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_mirror_needs_no_network(weights: Path, mirror: Path, form: str) -> None:
    (mirror / "readme.pth").write_bytes(README)
    found = fetch(FILES, weights, form.format(mirror))
    assert found.verified and kept(weights) == {"readme.pth": README}


def test_a_file_address_is_a_mirror_of_its_own(weights: Path, mirror: Path) -> None:
    (mirror / "a b.pth").write_bytes(README)
    address = f"{mirror.as_uri()}/a%20b.pth"
    assert fetch([published(README, "readme", url=address)], weights).verified


def test_the_second_publication_takes_the_place_of_an_absent_first(
    weights: Path, mirror: Path
) -> None:
    (mirror / "package.pth").write_bytes(PACKAGE)
    assert fetch(FILES, weights, str(mirror)).published == FILES[1]
    assert kept(weights) == {"package.pth": PACKAGE}


def test_a_wrong_file_in_the_mirror_is_not_copied(weights: Path, mirror: Path) -> None:
    (mirror / "readme.pth").write_bytes(b"wrong")
    with pytest.raises(CheckpointError, match="it was not copied") as caught:
        fetch(FILES[:1], weights, str(mirror))
    assert kept(weights) == {} and "\n" not in str(caught.value)


def test_an_empty_mirror_says_what_to_put_there(weights: Path, mirror: Path) -> None:
    with pytest.raises(CheckpointError, match=r"readme\.pth: cannot be read .* put http://"):
        fetch(FILES, weights, str(mirror))
    with pytest.raises(CheckpointError, match="expected a folder or its file:// address"):
        fetch(FILES, weights, "https://example.org/mirror")


def test_a_wrong_file_under_the_name_is_put_aside(weights: Path, mirror: Path) -> None:
    (weights / "readme.pth").write_bytes(b"wrong")
    (mirror / "readme.pth").write_bytes(README)
    fetch(FILES, weights, str(mirror))
    assert kept(weights) == {"readme.pth": README, "readme.pth.wrong": b"wrong"}


def test_a_verified_file_is_not_fetched_again(weights: Path) -> None:
    (weights / "package.pth").write_bytes(PACKAGE)
    assert fetch(FILES, weights).path == weights / "package.pth"


def test_without_a_network_the_next_step_is_named(weights: Path) -> None:
    with pytest.raises(NoNetworkError) as caught:
        fetch(FILES, weights, wait=0.0)
    line = str(caught.value)
    assert line.startswith(f"{weights}/readme.pth: cannot be downloaded (http://127.0.0.1:1/")
    assert "put it to this place, or give the folder that holds it with --mirror DIR" in line
    assert "\n" not in line and kept(weights) == {}
