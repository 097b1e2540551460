"""What is read off a resolved experiment."""

from __future__ import annotations

from pipeline.experiments import settings_with_origin


def test_settings_by_origin_list_each_distinct_one_once(build):
    found = settings_with_origin(build().cells, ("stated",))
    assert [s.value for s in found["head.name"]] == ["fcn", "dmnet"]
    assert [s.value for s in found["recipe.epochs"]] == [3]
    assert "head.dropout" not in found
