"""ResNet's parameter names: the same in both zoos, and torchvision's but for the deep stem."""

from __future__ import annotations

from dmnet.importers.names import Table

STAGES: Table = (("layer{i}.{parameter}", "layer{i}.{parameter}"),)
STEMS: dict[str, Table] = {
    "plain": (
        ("conv1.{parameter}", "conv1.{parameter}"),
        ("bn1.{parameter}", "bn1.{parameter}"),
    ),
    "deep": (
        ("conv1.{i}.{parameter}", "stem.{i}.{parameter}"),
        ("bn1.{parameter}", "stem.7.{parameter}"),
    ),
}
