"""Speed and memory: one measurement of a model for all columns, at the preset's sizes."""

from __future__ import annotations

import pytest

from pipeline.errors import SpecError


def test_both_columns_are_one_measurement_at_the_presets_sizes(zoo):
    memory, fps, *_ = zoo().cells
    assert memory.job == fps.job and memory.inputs == [f"speed/{memory.job.key}.json"]
    config = memory.job.config
    assert (config.image_size, config.crop_size, config.classes) == ((32, 32), (32, 48), 2)
    assert config.batch_size == 2  # 4 on two devices
    assert config.model.backbone.width == 4
    assert zoo("full").cells[0].job.config.image_size == (30, 40)


def test_what_changes_the_measurement_changes_its_key_and_the_published_number_does_not(zoo, edit):
    before = zoo().cells[0].job.key
    edit("tables/zoo.yaml", "published: 7.0", "published: 8.0")
    assert zoo().cells[0].job.key == before
    edit("recipes/short.yaml", "batch_size: {value: 4", "batch_size: {value: 8")
    assert zoo().cells[0].job.key != before


def test_speed_needs_the_size_of_a_photograph(zoo, edit):
    edit("datasets/photos.yaml", "photograph: [30, 40]\n", "")
    with pytest.raises(SpecError, match=r"cell 'wide-memory': speed needs the size of a photo"):
        zoo("full")
