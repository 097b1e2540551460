"""Figures: which images they show, from which predictions, and what stands in the legend."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from dmnet.config import content_hash
from dmnet.data.manifest import write_manifest
from dmnet.data.voc2012 import palette
from dmnet.errors import DMNetError
from dmnet.files import read_json, sha256_bytes, sha256_file, to_json, write_json
from dmnet.inference.encoding import Encoding
from pipeline.errors import ResultError, SpecError
from pipeline.experiments.figures import load_figures
from pipeline.reports.figures.caption import render_caption
from pipeline.reports.figures.content import build_figure, choose, disagreement
from pipeline.reports.figures.drawing import colour_labels, draw_figure, legend_of
from pipeline.reports.markdown.index import render_index
from pipeline.reports.model.base import PresetSummary

FIGURE = """\
title: Figure 7. A toy
source: nobody 2020
columns:
  - {title: Wide, cell: toy/wide}
  - {title: Quick, cell: toy/quick}
images: 2
"""
IGNORED = 255
FULL = PresetSummary(name="full", title="Full", shows="Everything.")
# Of 4x2 pixels each: the truth, and what `wide` and `quick` predict.
TRUTH = {
    "a": [0, 0, 0, 0, 1, 1, 1, 1],
    "b": [0, 0, 0, 0, 1, 1, IGNORED, IGNORED],
    "c": [0, 0, 1, 1, 1, 1, 1, 1],
    "d": [0, 0, 0, 0, 1, 1, 1, 1],
}
WIDE = {
    "a": [0, 0, 0, 0, 1, 1, 1, 1],  # all right
    "b": [0, 0, 0, 0, 1, 1, 1, 1],
    "c": [1, 1, 0, 0, 0, 0, 0, 0],  # all wrong
    "d": [0, 0, 0, 0, 1, 1, 1, 1],
}
QUICK = {
    "a": [0, 0, 0, 0, 1, 1, 1, 0],  # differs on 1 of 8 labelled pixels
    "b": [0, 0, 0, 1, 1, 1, 0, 0],  # on 1 of 6; the ignored ones do not count
    "c": [1, 1, 0, 0, 0, 0, 0, 0],  # on none: both are wrong in the same way
    "d": [1, 0, 0, 0, 1, 1, 1, 1],  # on 1 of 8
}


def labels(values):
    return np.array(values, np.uint8).reshape(2, 4)


def write_png(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels(values))
    image.putpalette(palette())
    image.save(path)


@pytest.fixture
def experiment(build):
    return build()


@pytest.fixture
def figures(folder, experiment):
    """Load `figure7.yaml`, after a text of it was replaced."""

    def load(old="", new="", name="figure7"):
        assert old in FIGURE
        path = folder / "figures" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(FIGURE.replace(old, new) if old else FIGURE)
        return load_figures(folder, experiment)

    return load


@pytest.fixture
def fingerprint(tmp_path, experiment):
    """The prepared dataset: four validation images, the list in another order than their names."""
    folder, root = tmp_path / "data" / "photos", tmp_path / "photographs"
    pairs = []
    for stem in "dbca":
        (root / "i").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 4, 3), ord(stem), np.uint8)).save(root / "i" / f"{stem}.png")
        write_png(root / "l" / f"{stem}.png", TRUTH[stem])
        pairs.append((f"i/{stem}.png", f"l/{stem}.png"))
    dataset = experiment.datasets["photos"].model_copy(update={"counts": {}})
    return write_manifest(folder, dataset, root, {"train": pairs, "val": pairs}).fingerprint


@pytest.fixture
def figure(figures, finish, fingerprint, tmp_path):
    """The figure with the predictions of both its columns."""
    figure = figures()["figure7"]
    for column, maps in zip(figure.columns, (WIDE, QUICK), strict=True):
        finish(column.evaluation, 0.5, trained={"data_fingerprint": fingerprint})
        path = tmp_path / column.path
        for stem, values in maps.items():
            write_png(path.with_suffix("") / f"{stem}.png", values)
        key = column.evaluation.run_key
        content = {
            "run": key,
            "weights_sha256": f"{key}{'0' * 48}",
            "evaluation_hash": content_hash(column.evaluation.config),
            "data_fingerprint": fingerprint,
            "device": "cpu",
            "folder": path.stem,
            "files": {f.name: sha256_file(f) for f in path.with_suffix("").iterdir()},
        }
        write_json(path, content)
    return figure


# ---------------------------------------------------------------------------------- the file


def test_columns_are_the_runs_of_their_cells(figures, experiment):
    figure = figures()["figure7"]
    wide, _, quick = experiment.cells
    assert [c.evaluation for c in figure.columns] == [wide.evaluations[0], quick.evaluations[0]]
    assert (figure.dataset.name, figure.split) == ("photos", "val")
    run = wide.evaluations[0].run_key
    assert figure.inputs[:2] == [figure.columns[0].path, f"runs/{run}/train.json"]
    assert figure.inputs[-1] == "data/photos/manifest.json"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("toy/quick", "toy/quack", ["columns.1.cell", "toy/quack", "toy/wide, toy/deep"]),
        ("toy/quick", "toys/quick", ["columns.1.cell", "toys/quick", "the tables toy"]),
        ("cell: toy/quick", "cel: toy/quick", ["columns.1.cel`", "unknown key"]),
        ("images: 2", "images: 0", ["`images`", "greater than or equal to 1"]),
        ("images: 2", "rows: 2", ["rows`", "unknown key"]),
    ],
)
def test_a_mistake_is_named_with_file_and_key(figures, old, new, words):
    with pytest.raises(DMNetError) as error:
        figures(old, new)
    line = str(error.value)
    assert "\n" not in line
    assert all(word in line for word in ["figures/figure7.yaml", *words]), line


def test_a_name_that_could_be_a_tables_is_refused(figures):
    with pytest.raises(SpecError, match=r"overview\.yaml: expected a name such as figure3\.yaml"):
        figures(name="overview")


# ---------------------------------------------------------------------------------- the choice


def test_disagreement_is_a_share_of_the_labelled_pixels():
    labelled = labels(TRUTH["b"]) != IGNORED
    assert disagreement([labels(WIDE["b"]), labels(QUICK["b"])], labelled) == Fraction(1, 6)


def test_of_three_models_one_that_differs_is_enough():
    labelled = np.ones((2, 4), bool)
    maps = [labels(values) for values in (WIDE["a"], QUICK["a"], [1, 0, 0, 0, 1, 1, 1, 0])]
    assert disagreement(maps, labelled) == Fraction(2, 8)


def test_an_image_without_labels_has_none():
    assert disagreement([labels(WIDE["a"]), labels(WIDE["c"])], np.zeros((2, 4), bool)) == 0


def test_the_largest_shares_are_chosen_and_ties_go_by_name():
    shares = {"z": Fraction(1, 3), "b": Fraction(1, 2), "a": Fraction(2, 6), "c": Fraction(0)}
    assert choose(shares, 3) == ["b", "a", "z"]
    assert choose(shares, 9) == ["b", "a", "z", "c"]


# --------------------------------------------------------------------------------- the content


def test_chosen_images_and_their_numbers(experiment, figure, tmp_path):
    content, rows = build_figure(experiment, figure, tmp_path)
    assert [row.stem for row in rows] == ["b", "a"], "a and d tie, c agrees however wrong"
    b, a = content.images
    assert (b.disagreement, a.disagreement) == (16.67, 12.5)
    assert [c.pixel_accuracy for c in b.columns] == [100.0, 83.33]
    # Of `quick` on b: class 0 has 3 of 4 pixels, class 1 has 2 of 3.
    assert [c.miou for c in b.columns] == [100.0, 70.83]
    assert [c.pixel_accuracy for c in content.whole_split.columns] == [73.33, 63.33]
    assert content.columns[0].run == figure.columns[0].evaluation.run_key


def test_predictions_in_the_benchmark_s_own_values_give_the_same_figure(
    experiment, figure, tmp_path
):
    """One column in label values, the other (an older one) in train ids."""
    before, _ = build_figure(experiment, figure, tmp_path)
    path = tmp_path / figure.columns[0].path
    encoding = Encoding("label ids", (7, 33), None)
    content = read_json(path) | {"encoding": encoding.to_json()}
    for stem, values in WIDE.items():
        png = encoding.png(labels(values))
        (path.with_suffix("") / f"{stem}.png").write_bytes(png)
        content["files"][f"{stem}.png"] = sha256_bytes(png)
    write_json(path, content)
    after, _ = build_figure(experiment, figure, tmp_path)
    numbers = [
        found.model_dump(
            include={"images", "whole_split"},
            exclude={"images": {"__all__": {"columns": {0: {"prediction_sha256"}}}}},
        )
        for found in (before, after)
    ]
    assert numbers[0] == numbers[1] and before.images != after.images
    write_json(path, content | {"encoding": {**encoding.to_json(), "values": [8, 33]}})
    with pytest.raises(ResultError, match=r"d\.png: a pixel of 7, expected one of 8, 33"):
        build_figure(experiment, figure, tmp_path)


def test_the_caption_states_the_rule_and_every_number(experiment, figure, tmp_path):
    content, _ = build_figure(experiment, figure, tmp_path)
    caption = re.sub(" +", " ", render_caption(content))
    assert "Whether a model is right plays no part in the choice" in caption
    assert "| b | 16.67 | 100.00 | 100.00 | 83.33 | 70.83 |" in caption
    assert "| all 4 | 10.42 | 73.33 |" in caption
    assert content.columns[1].weights_sha256[:12] in caption


def test_the_index_links_the_figure(experiment, figure, tmp_path):
    content, _ = build_figure(experiment, figure, tmp_path)
    line = re.sub(" +", " ", render_index({}, {"figure7": content}, FULL))
    assert "| [figure7](figure7.md) | Figure 7. A toy | 2 models on 2 images |" in line


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("run", "another run"),
        ("weights_sha256", "another weights"),
        ("evaluation_hash", "another evaluation"),
        ("data_fingerprint", "another data"),
        ("folder", "another folder"),
    ],
)
def test_predictions_of_something_else_are_refused(experiment, figure, tmp_path, key, word):
    path = tmp_path / figure.columns[1].path
    write_json(path, {**read_json(path), key: "e" * (16 if key == "run" else 64)})
    with pytest.raises(ResultError, match=f"{path.name}: is of {word}.*delete the file"):
        build_figure(experiment, figure, tmp_path)


def test_a_damaged_or_missing_label_map_is_named(experiment, figure, tmp_path):
    path = (tmp_path / figure.columns[0].path).with_suffix("") / "c.png"
    write_png(path, TRUTH["c"])
    with pytest.raises(ResultError, match=r"c\.png: damaged, its SHA-256 is .*run again"):
        build_figure(experiment, figure, tmp_path)
    path.unlink()
    with pytest.raises(ResultError, match=r"c\.png: missing; delete"):
        build_figure(experiment, figure, tmp_path)


# --------------------------------------------------------------------------------- the drawing


def test_the_legend_has_what_the_panels_show(experiment, figure, tmp_path):
    content, rows = build_figure(experiment, figure, tmp_path)
    expected = [("nothing", 0), ("thing", 1), ("ignored (no label)", IGNORED)]
    assert legend_of(content, rows) == expected
    assert legend_of(content, rows[1:]) == expected[:2], "image a has no ignored pixel"


def test_classes_have_vocs_colours_and_ignored_pixels_are_white():
    pixels = colour_labels(np.array([[0, 1, 15, IGNORED]]), IGNORED)
    assert pixels[0, :3].tolist() == [[0, 0, 0], [128, 0, 0], [192, 128, 128]]
    wide = colour_labels(np.full((20, 20), IGNORED), IGNORED)
    assert set(wide.ravel().tolist()) == {255, 170}, "white with grey hatches"


def test_the_picture_is_1200_pixels_wide_and_twice_the_same(experiment, figure, tmp_path):
    content, rows = build_figure(experiment, figure, tmp_path)
    first = draw_figure(content, rows)
    again = draw_figure(*build_figure(experiment, figure, tmp_path))
    assert first == again
    (tmp_path / "figure.png").write_bytes(first)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == 1200
        assert not {"Software", "Creation Time"} & set(image.info)
    assert to_json(content.model_dump(mode="json"))  # nothing in it that JSON does not have


def test_the_commit_that_predicted_is_named_where_it_is_another(experiment, figure, tmp_path):
    def caption(**code):
        path = tmp_path / figure.columns[0].path
        write_json(
            path, {**read_json(path), "code": {"commit": "c" * 40, "modified": False} | code}
        )
        return render_caption(build_figure(experiment, figure, tmp_path)[0])

    assert "predicted by" not in caption()
    assert "`cccccccccccc`; predicted by `dddddddddddd`" in caption(commit="d" * 40)
    mark = "files of dmnet/ changed while it was made"
    assert f"**More than one code:** {figure.columns[0].path}: {mark}" in caption(changed=True)
