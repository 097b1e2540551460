"""What a dataset's `generate` asks of a stand-in, checked, and the IDs of its images."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.errors import ConfigError


def generate_settings(
    config: DatasetConfig, groups: Collection[str], classes: Collection[int], draws: str
) -> GenerateConfig:
    """Raises ConfigError unless `generate.images` has exactly the keys `groups`, and `config` one
    of these numbers of classes; draws: what the stand-in is of, and how many it draws."""
    settings = config.generate
    if settings is None or set(settings.images) != set(groups):
        key = "key" if len(groups) == 1 else "keys"
        raise ConfigError(
            f"{config.name}: `generate.images` needs exactly the {key} {', '.join(groups)}"
        )
    if len(config.classes) not in classes:
        raise ConfigError(
            f"{config.name}: {len(config.classes)} `classes`; the stand-in of {draws}"
        )
    return settings


def mixed_ids(
    settings: GenerateConfig, groups: Sequence[str], years: range
) -> dict[str, list[str]]:
    """Sorted IDs such as 2007_000032 for each group; the years are mixed over the groups."""
    total = sum(settings.images.values())
    ids = [f"{years[i * len(years) // total]}_{32 + 7 * i:06d}" for i in range(total)]
    order = iter(np.random.default_rng([settings.seed, settings.revision]).permutation(total))
    return {
        group: sorted(ids[next(order)] for _ in range(settings.images[group])) for group in groups
    }
