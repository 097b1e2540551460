"""The number of a cell beside the published one."""

from __future__ import annotations


def test_seeds_are_shown_one_by_one_with_mean_and_deviation(both, show, finish):
    experiment = both(seeds=2)
    first, second = experiment.cells[0].evaluations
    finish(second, 0.72)
    text = show(experiment)
    assert "ours pending (1 of 2 seeds measured)\n" in text
    of_first, of_second = text.split("Seed ")[1:]
    assert "mIoU pending" in of_first and "mIoU 72.00" in of_second
    finish(first, 0.7)
    text = show(experiment)
    assert "ours 71.00 ± 1.41 (mean and deviation of 2 seeds)\n" in text
    assert "seeds=2\n" in text


def test_a_preset_that_is_not_judged_says_so_beside_the_difference(both, show, finish):
    experiment = both(preset="toy")
    finish(experiment.cells[0].evaluations[0], 0.5)
    text = show(experiment)
    assert "difference -20.00 (not judged: another scale than the published one)\n" in text
    assert "iterations 7\n" in text
    assert "dataset drawings (stand-in for photos, drawn), split train\n" in text


def test_a_cell_without_a_published_value_has_no_difference(both, show, finish):
    experiment = both()
    cell = experiment.cells[1]
    finish(cell.evaluations[0], 0.5)
    text = show(experiment, cell.id)
    assert "published none\n" in text and "difference none\n" in text


def test_the_iou_of_one_class(build, edit, show, finish):
    edit("tables/toy.yaml", "model: net, published: 70.0", "model: net, metric: iou.thing")
    experiment = build()
    finish(experiment.cells[0].evaluations[0], 0.5, per_class_iou=[0.25, 0.75])
    text = show(experiment)
    assert "metric IoU of thing\n" in text and "\n IoU of thing 75.00\n" in text
    finish(experiment.cells[0].evaluations[0], 0.5, per_class_iou=[0.25, None])
    text = show(experiment)
    assert "ours none: the class does not occur in the data\n" in text
    assert "IoU of thing none: no such class\n" in text
