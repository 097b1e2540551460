"""Addresses in a configuration are public; what else an address holds is never told."""

from __future__ import annotations

import pytest

from dmnet.addresses import is_public
from dmnet.config.model import WeightsConfig
from dmnet.config.sections import parse
from dmnet.errors import CheckpointError, ConfigError
from dmnet.importers.fetching import fetch


@pytest.mark.parametrize(
    "address",
    [
        "https://download.example.org/pretrain/resnet50_v1c-2cccc1ad.pth",
        "https://www.cityscapes-dataset.com/file-handling/?packageID=3",
        "http://127.0.0.1:8080/a.pth",
        "file:///srv/mirror/a.pth",
    ],
)
def test_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("https://me:geheim@host/a.pth", "https://geheim@host/a.pth", "me:geheim@host/a.pth"),
        *("https://host/a.pth?api_key=geheim", "https://host/a.pth?id=3&sig=geheim"),
        *("https://host/a.pth?pin=12345", "https://host/a.pth#geheim", "https://host/a b?c=1"),
    ],
)
def test_a_configuration_with_a_secret_in_an_address_is_refused_without_telling_it(address):
    assert not is_public(address)
    content = {"name": "x", "file": "a.pth", "url": address, "sha256_prefix": "2cccc1ad"}
    with pytest.raises(ConfigError, match="everybody sees this address") as refused:
        parse(WeightsConfig, content, "params/models.yaml")
    assert "geheim" not in str(refused.value)


def test_an_address_given_as_mirror_is_not_repeated(tmp_path):
    content = {"name": "x", "file": "a.pth", "url": "http://127.0.0.1:1/a.pth"}
    weights = parse(WeightsConfig, content | {"sha256_prefix": "2cccc1ad"}, "x").published
    with pytest.raises(CheckpointError, match=r"--mirror https://host/\*\*\*: expected a folder"):
        fetch([weights], tmp_path, "https://me:geheim@host/x?token=geheim")
