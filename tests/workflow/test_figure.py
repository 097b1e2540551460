"""`snakemake --cores all reports/figure3.png`: three runs, their label maps, and the figure."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.workflow.conftest import Clone

TARGET = "reports/figure3.png"
FILES = [TARGET, "reports/figure3.md", "reports/figure3.json"]


@pytest.fixture(scope="module")
def drawn(template, tmp_path_factory):
    """The figure, made from nothing (read only: copy before a change)."""
    clone = template.copy(tmp_path_factory.mktemp("figure") / "clone")
    result = clone.snakemake(TARGET)
    assert result.code == 0, result.text
    clone.first = result
    return clone


def bytes_of(clone):
    return [(clone.path / name).read_bytes() for name in FILES]


def test_it_takes_the_three_runs_that_it_shows_and_no_table(drawn):
    assert drawn.first.jobs == {"prepare": 1, "train": 3, "predict": 3, "figure": 1}
    assert len(drawn.runs()) == 3


def test_it_names_runs_weights_and_the_chosen_images(drawn):
    content = drawn.json("reports/figure3.json")
    assert [(c["title"], c["cell"]) for c in content["columns"]] == [
        ("Inception-like", "table1/regular-1-3-5-7"),
        ("ASPP-like", "table2/regular-6-12-24-36"),
        ("DMNet", "table1/context-aware-1-3-5-7"),
    ]
    assert {c["run"]: c["weights_sha256"] for c in content["columns"]} == drawn.weights()
    assert len(content["images"]) == 4
    shares = [image["disagreement"] for image in content["images"]]
    assert shares == sorted(shares, reverse=True)


def test_the_whole_splits_numbers_are_those_of_the_table(drawn, tmp_path):
    """Counted from the PNGs, they are what `evaluate` measures and the tables print."""
    clone = drawn.copy(tmp_path / "clone")
    content = clone.json("reports/figure3.json")
    paths = [f"runs/{c['run']}/evaluations/{c['evaluation']}.json" for c in content["columns"]]
    result = clone.snakemake(*paths)
    assert result.code == 0 and result.jobs == {"evaluate": 3}, result.text
    for column, path in zip(content["whole_split"]["columns"], paths, strict=True):
        metrics = clone.json(path)
        assert column["miou"] == round(100 * metrics["miou"], 2)
        assert column["pixel_accuracy"] == round(100 * metrics["pixel_accuracy"], 2)


def test_asked_again_there_is_nothing_to_be_done(drawn):
    result = drawn.snakemake(TARGET)
    assert result.code == 0 and "Nothing to be done" in result.text


def test_a_damaged_label_map_is_refused_and_made_anew(drawn, tmp_path):
    """The prediction and the figure then have the bytes that they had."""
    clone = drawn.copy(tmp_path / "clone")
    before = bytes_of(clone)
    file = next(iter(sorted(clone.path.glob("predictions/*/*/*.png"))))
    clone.flip_a_byte(file)
    clone.forget("reports")
    result = clone.snakemake(TARGET)
    assert result.code != 0
    assert f"{file.name}: damaged, its SHA-256 is" in result.text
    assert "Traceback (most recent call last)" not in result.text
    assert not any((clone.path / name).exists() for name in FILES)
    file.parent.with_name(f"{file.parent.name}.json").unlink()  # as the message says
    assert clone.snakemake(TARGET).code == 0
    assert bytes_of(clone) == before


def test_a_wrong_cell_is_one_line_before_anything_runs(template, tmp_path):
    clone = template.copy(tmp_path / "clone")
    clone.replace("params/figures/figure3.yaml", "table2/regular-6-12-24-36", "table2/aspp")
    result = clone.snakemake(TARGET)
    assert result.code != 0 and result.jobs == {}
    (line,) = [x for x in result.text.splitlines() if "table2/aspp" in x]
    assert "params/figures/figure3.yaml: `columns.1.cell`" in line and "regular-1-2-3-4" in line
    assert "Traceback (most recent call last)" not in result.text


def test_a_figure_that_there_is_not_is_named(drawn):
    result = drawn.snakemake("reports/figure4.png")
    assert result.code != 0
    assert "reports/figure4.png: unknown figure; expected one of figure3" in result.text


def test_mlflow_has_the_predictions_as_images_beside_their_runs(drawn, tmp_path):
    client = MlflowClient(tracking_uri=f"sqlite:///{drawn.path}/mlflow.db")
    experiment = client.get_experiment_by_name("dmnet")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 3
    for run in runs:
        (manifest,) = drawn.path.glob(f"predictions/{run.data.tags['dmnet.key']}/*.json")
        folder = manifest.with_suffix("")
        images = client.list_artifacts(run.info.run_id, f"predictions/{folder.name}")
        assert len(images) == int(run.data.tags["dmnet.images"]) == 4
        for image in images:
            file = Path(client.download_artifacts(run.info.run_id, image.path, str(tmp_path)))
            assert file.read_bytes() == (folder / file.name).read_bytes()


def test_a_clone_that_pulled_the_predictions_only_draws(drawn, tmp_path):
    """It needs the images of the dataset, which are prepared here later than the predictions."""
    first = drawn.copy(tmp_path / "first")
    store = str(tmp_path / "store")
    assert first.python("-m", "dvc", "remote", "add", "-d", "store", store).code == 0
    first.git("add", "runs", "predictions", ".dvc/config")
    first.git("commit", "-q", "-m", "runs")
    assert first.python("-m", "dvc", "push").code == 0
    for command in ("dvc", "pipeline"):
        first.git("clone", "-q", str(first.path), str(tmp_path / command))
        other = Clone(tmp_path / command)
        assert other.python("-m", command, "pull").code == 0
        result = other.snakemake(TARGET)
        assert result.code == 0, result.text
        assert result.jobs == {"prepare": 1, "figure": 1}
        assert bytes_of(other) == bytes_of(first)
    assert "Nothing to be done" in other.snakemake(TARGET).text
