"""params/checkpoints.yaml: every released checkpoint of the READMEs, with the hash in its name."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from dmnet.config import CheckpointConfig
from dmnet.errors import CheckpointError, DMNetError
from pipeline.errors import SpecError
from pipeline.spec.checkpoints import fetch_checkpoints, load_checkpoints

PARAMS = Path(__file__).resolve().parents[3] / "params"


@pytest.fixture(scope="module")
def checkpoints() -> dict[str, CheckpointConfig]:
    return load_checkpoints(PARAMS)


def test_mmsegmentations_hashes_are_those_in_the_file_names(
    checkpoints: dict[str, CheckpointConfig],
) -> None:
    for name, checkpoint in checkpoints.items():
        for file in checkpoint.files:
            assert file.file.startswith(name)
            if checkpoint.zoo == "sssegmentation":
                assert file.sha256_prefix is None
                continue
            found = re.fullmatch(r".*_20\d{6}_\d{6}-([0-9a-f]{8})\.pth", file.file)
            assert found is not None and file.sha256_prefix == found[1]


def test_where_readme_and_released_package_differ_both_are_kept(
    checkpoints: dict[str, CheckpointConfig],
) -> None:
    dmnet = checkpoints["dmnet_r50-d8_512x1024_40k_cityscapes"]
    assert [file.sha256_prefix for file in dmnet.files] == ["5e88fa33", "615373cf"]
    two = Counter(name.split("_")[0] for name, c in checkpoints.items() if len(c.files) == 2)
    assert two == {"dmnet": 12, "bisenetv2": 4}
    deeplab = checkpoints["deeplabv3_r50-d8_512x1024_40k_cityscapes"].files[0]
    hosts = [url.split("/")[2] for url in deeplab.urls]
    assert hosts == ["openmmlab.oss-accelerate.aliyuncs.com", "download.openmmlab.com"]


def test_no_hash_belongs_to_two_checkpoints(checkpoints: dict[str, CheckpointConfig]) -> None:
    hashes = Counter(f.sha256_prefix for c in checkpoints.values() for f in c.files)
    del hashes[None]
    assert set(hashes.values()) == {1}


def test_fetching_by_a_pattern_names_what_lacks(tmp_path: Path) -> None:
    """From a folder: the hashes are the published ones, so only an unhashed file can be drawn."""
    mirror, weights = tmp_path / "mirror", tmp_path / "weights"
    mirror.mkdir()
    (mirror / "dmnet_resnet50os8_voc_train.pth").write_bytes(b"drawn")
    (mirror / "dmnet_r50-d8_512x512_80k_ade20k_20201214_115705-a8626293.pth").write_bytes(b"drawn")
    fetch_checkpoints(PARAMS, "dmnet_resnet50os8_voc", weights, str(mirror))
    with pytest.raises(CheckpointError, match="16 of 16 checkpoints are lacking"):
        fetch_checkpoints(PARAMS, "deeplabv3_*", weights, str(mirror))
    with pytest.raises(CheckpointError, match=r"1 of 1 .*dmnet_r50-d8_512x512_80k_ade20k"):
        fetch_checkpoints(PARAMS, "dmnet_r50-d8_512x512_80k_ade20k", weights, str(mirror))
    kept = [file.name for file in weights.iterdir() if file.is_file()]
    assert kept == ["dmnet_resnet50os8_voc_train.pth"]
    with pytest.raises(SpecError, match="no checkpoint is called 'dmnet'"):
        fetch_checkpoints(PARAMS, "dmnet", weights)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a:\n  zoo: mmseg\n  files: []\n", r"a: `zoo` = 'mmseg'"),
        ("a: 1\n", "expected `zoo` and `files`"),
        (
            "a:\n  zoo: sssegmentation\n  files: [{file: a.pth, sha256_prefix: null, "
            "urls: ['https://example.org/b.pth']}]\n",
            r"https://example\.org/b\.pth is not one of a file a\.pth",
        ),
        (
            "a:\n  zoo: sssegmentation\n  files: [{file: ../a.pth, sha256_prefix: null, "
            "urls: ['https://example.org/a.pth']}]\n",
            "files.0.file",
        ),
    ],
)
def test_mistakes_name_the_checkpoint(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "checkpoints.yaml").write_text(text)
    with pytest.raises(DMNetError, match=reason) as caught:
        load_checkpoints(tmp_path)
    assert "\n" not in str(caught.value) and "checkpoints.yaml: a" in str(caught.value)
