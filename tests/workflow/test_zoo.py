"""A row of a model zoo, for real: one training, two protocols, one measurement of speed."""

from __future__ import annotations

import pytest

SCALE = """\
  recipe.devices: 1
  recipe.fit_size: [56, 224]
inference:
  mmseg-512: {fit_size: [56, 224]}
  mmseg-512-ms-flip: {fit_size: [56, 224], scales: [0.5, 1.0]}
cpu_threads: 1
"""


@pytest.fixture(scope="module")
def zoo(template, tmp_path_factory):
    """The first row of DeepLabV3 on VOC, at the tests' scale."""
    clone = template.copy(tmp_path_factory.mktemp("zoo") / "clone")
    text = clone.read("params/presets/tiny.yaml").replace("cpu_threads: 1\n", SCALE)
    clone.write("params/presets/tiny.yaml", text)
    clone.write("params/tables/zoo.yaml", ROW)
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "a zoo's row")
    clone.record = False
    clone.first = clone.snakemake("reports/zoo.md")
    assert clone.first.code == 0, clone.first.text
    return clone


ROW = """\
title: "DeepLabV3, one row"
source: a zoo
column_decimals: {Mem (GB): 1}
columns: [Method, Mem (GB), Inf time (fps), mIoU, mIoU(ms+flip), download]
rows:
  - heading: Pascal VOC 2012 + Aug
    Method: DeepLabV3
    defaults:
      {model: mmseg-deeplabv3-r50, dataset: voc2012aug, recipe: mmseg-voc-20k, inference: mmseg-512}
    Mem (GB): {cell: r50-memory, speed: {measure: memory}, published: 6.1}
    Inf time (fps): {cell: r50-fps, speed: {measure: frames_per_second}, published: 13.88}
    mIoU: {cell: r50, published: 76.17}
    mIoU(ms+flip): {cell: r50-ms-flip, inference: mmseg-512-ms-flip, published: 77.42}
    download: "[model](https://example.org/model.pth)"
"""


def cells(clone):
    (row,) = clone.json("reports/zoo.json")["rows"]
    return {entry["cell"]: entry for entry in row.values() if isinstance(entry, dict)}


def test_a_row_takes_one_training_two_evaluations_and_one_measurement(zoo):
    assert zoo.first.jobs == {"prepare": 1, "train": 1, "evaluate": 2, "report": 1}
    assert len(list(zoo.path.glob("speed/*.json"))) == 1
    assert [entry["source"] for entry in cells(zoo).values()] == [
        "profiled",
        "profiled",
        "trained",
        "trained",
    ]


def test_speed_and_memory_are_those_that_were_measured(zoo):
    (path,) = zoo.path.glob("speed/*.json")
    measured = zoo.json(f"speed/{path.name}")
    found = cells(zoo)
    assert found["zoo/r50-fps"]["ours"] == round(measured["frames_per_second"], 4)
    assert found["zoo/r50-memory"]["ours"] == round(measured["memory_bytes"] / 2**30, 4)
    assert measured["device"]["name"] in zoo.read("reports/zoo.md")


def test_the_report_has_the_readmes_heading_and_links(zoo):
    text = zoo.read("reports/zoo.md")
    assert "\n## Pascal VOC 2012 + Aug\n" in text
    assert "[model](https://example.org/model.pth)" in text


def test_a_changed_published_number_measures_nothing_again(zoo, tmp_path):
    clone = zoo.copy(tmp_path / "clone")
    clone.write("params/tables/zoo.yaml", ROW.replace("13.88", "13.89"))
    result = clone.snakemake("reports/zoo.md")
    assert result.code == 0, result.text
    assert result.jobs == {"report": 1}
    assert cells(clone)["zoo/r50-fps"]["published"] == 13.89
