"""What a run was trained from, on and by."""

from __future__ import annotations


def test_a_trained_run_that_is_not_evaluated_shows_its_weights(both, show, finish):
    experiment = both()
    finish(experiment.cells[0].evaluations[0], 0.5).unlink()
    text = show(experiment)
    assert "training done" in text and "weights SHA-256" in text and "mIoU pending" in text


def test_an_old_manifest_without_a_fact_says_so(both, show, finish):
    experiment = both()
    finish(experiment.cells[0].evaluations[0], 0.5, {"code": {"commit": None, "modified": None}})
    text = show(experiment)
    assert "packages not recorded\n" in text
    assert "took not recorded\n" in text
    assert "code unknown commit (not a git checkout)\n" in text


def test_uncommitted_changes_are_told(both, show, finish):
    experiment = both()
    code = {"commit": "a" * 40, "modified": True}
    finish(experiment.cells[0].evaluations[0], 0.5, {"code": code})
    assert f"code commit {'a' * 40}, with uncommitted changes\n" in show(experiment)


def test_a_run_that_continues_another_names_its_parent(build, edit, show, finish, tmp_path):
    edit("tables/toy.yaml", "cell: quick,", "cell: quick, continues: wide,")
    experiment = build()
    wide, _, quick = experiment.cells
    parent = wide.evaluations[0].run_key
    assert f"starts from parent run {parent} (toy/wide), pending\n" in show(experiment, quick.id)
    finish(wide.evaluations[0], 0.5)
    finish(quick.evaluations[0], 0.5, {"start_weights": "d" * 64})
    text = show(experiment, quick.id)
    assert f"starts from parent run {parent} (toy/wide), done, SHA-256 {'d' * 64}\n" in text
    assert "note a note\n" in text


def test_published_start_weights_are_named_with_their_hash(build, edit, show, finish):
    weights = "{name: N, file: n.pth, url: u, sha256_prefix: abcdef12}"
    edit("models/net.yaml", "  weights: {value: null", f"  weights: {{value: {weights}")
    experiment = build()
    assert "starts from N: weights/n.pth\n" in show(experiment)
    finish(experiment.cells[0].evaluations[0], 0.5, {"start_weights": "d" * 64})
    assert f"starts from N: weights/n.pth, SHA-256 {'d' * 64}\n" in show(experiment)


def test_data_that_changed_after_the_training_are_told(both, show, finish, tmp_path):
    import numpy as np
    from PIL import Image

    from dmnet.data.manifest import write_manifest

    experiment = both(preset="toy")
    folder = tmp_path / "data" / "drawings"
    folder.mkdir(parents=True)
    pairs = {}
    for split, images in {"train": 4, "val": 2}.items():
        pairs[split] = [(f"{split}{n}.png", f"{split}{n}-label.png") for n in range(images)]
        for image, label in pairs[split]:
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / image)
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / label)
    here = write_manifest(folder, experiment.datasets["drawings"], folder, pairs).fingerprint
    assert f"fingerprint {here} (prepared)\n" in show(experiment)
    finish(experiment.cells[0].evaluations[0], 0.5)
    expected = f"fingerprint {'f' * 64} (data/drawings is now another: {here})\n"
    assert expected in show(experiment)
