"""What a dataset's `generate` asks of a stand-in, checked."""

from __future__ import annotations

from collections.abc import Collection

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.errors import ConfigError


def generate_settings(config: DatasetConfig, groups: Collection[str]) -> GenerateConfig:
    """Raises ConfigError unless `generate.images` has exactly the keys `groups`."""
    settings = config.generate
    if settings is None or set(settings.images) != set(groups):
        key = "key" if len(groups) == 1 else "keys"
        raise ConfigError(
            f"{config.name}: `generate.images` needs exactly the {key} {', '.join(groups)}"
        )
    return settings


def check_number_of_classes(config: DatasetConfig, drawn: int, dataset: str) -> None:
    """Raises ConfigError unless `config` has `drawn` classes; dataset: what the stand-in is of."""
    if len(config.classes) != drawn:
        raise ConfigError(
            f"{config.name}: {len(config.classes)} `classes`; the stand-in of {dataset} draws "
            f"{drawn}"
        )
