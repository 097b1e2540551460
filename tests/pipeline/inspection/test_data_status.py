"""Datasets as they lie on disk: absent, whole, damaged; and the step that helps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dmnet.config import ArchiveConfig, DatasetConfig
from dmnet.data.manifest import read_list, write_manifest
from pipeline.experiments import build_experiment
from pipeline.inspection.data_status import data_status, render_data

COUNTS = {"train": 4, "val": 2}
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def toy(build):
    """At preset `toy` the drawings take the photographs' place."""
    return build("toy")


def write_samples(source: Path) -> dict[str, list[tuple[str, str]]]:
    """A folder as CamVid's: lists, photographs, labels; and its pairs per split."""
    pairs = {}
    for split, images in COUNTS.items():
        lines = []
        for number in range(images):
            names = f"{split}/{number}.png", f"{split}annot/{number}.png"
            for name, shape in zip(names, ((6, 8, 3), (6, 8)), strict=True):
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full(shape, number % 2, np.uint8)).save(source / name)
            lines.append(" ".join(names))
        (source / f"{split}.txt").write_text("\n".join(lines) + "\n")
        pairs[split] = read_list(source / f"{split}.txt")
    return pairs


@pytest.fixture
def prepared(toy, tmp_path):
    """data/drawings as a preparation leaves it, samples inside."""
    folder = tmp_path / "data" / "drawings"
    write_manifest(folder, toy.datasets["drawings"], folder / "raw", write_samples(folder / "raw"))
    return folder


def experiment_with(build, **changes):
    """Preset `full`, whose dataset is changed: real data are obtained, not drawn."""
    experiment = build("full")
    photos = experiment.datasets["photos"].model_dump() | changes
    experiment.datasets["photos"] = DatasetConfig.model_validate(photos)
    return experiment


ARCHIVES = (
    ArchiveConfig(file="one.zip", url="https://example.org/one.zip"),
    ArchiveConfig(file="two.zip", url="https://example.org/?id=2"),
)


def test_a_drawn_dataset_needs_no_sources_only_the_command(toy, tmp_path):
    (status,) = data_status(toy, Path("data/sources"), tmp_path)
    assert (status.name, status.state, status.sources) == ("drawings", "not prepared", ())
    assert status.stands_for == ("photos",)
    assert status.next_step == (
        "run `snakemake --cores all data/drawings/manifest.json --config preset=toy`"
    )
    assert "none needed (drawn)" in render_data(toy, Path("data/sources"), tmp_path)


def test_sources_under_the_home_folder(build, tmp_path, monkeypatch):
    """`--config sources=~/x`: no shell replaces a ~ after a `=`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/archives").mkdir(parents=True)
    for archive in ARCHIVES:
        (tmp_path / "home/archives" / archive.file).touch()
    experiment = experiment_with(build, archives=ARCHIVES)
    status = next(s for s in data_status(experiment, Path("~/archives"), tmp_path) if s.sources)
    assert status.missing == ()


def test_a_prepared_dataset_shows_images_and_fingerprint(toy, prepared, tmp_path):
    (status,) = data_status(toy, Path("data/sources"), tmp_path, check=True)
    assert (status.state, status.problems, status.next_step) == ("prepared", (), "nothing")
    assert status.splits == COUNTS
    text = render_data(toy, Path("data/sources"), tmp_path, check=True)
    assert "1 prepared, 0 damaged, 0 not prepared (every file hashed)" in text
    assert "train 4, val 2" in text
    assert f" {status.fingerprint[:12]} " in text
    assert "next:" not in text


def test_a_changed_file_is_found_only_with_check(toy, prepared, tmp_path):
    (prepared / "raw/train/0.png").write_bytes(b"overwritten")
    (prepared / "raw/val/1.png").unlink()
    (quick,) = data_status(toy, Path("s"), tmp_path)
    (thorough,) = data_status(toy, Path("s"), tmp_path, check=True)
    assert (quick.state, thorough.state) == ("prepared", "damaged")
    damaged, missing = thorough.problems
    assert damaged.startswith("data/drawings/raw/train/0.png: damaged (SHA-256 ")
    assert missing == "data/drawings/raw/val/1.png: missing"
    assert thorough.next_step.startswith("delete data/drawings and prepare it again: `snakemake")
    assert "--check does that" in render_data(toy, Path("s"), tmp_path)


def test_only_the_first_five_problems_are_printed_and_all_are_counted(toy, prepared, tmp_path):
    for path in (prepared / "raw").rglob("*.png"):
        path.unlink()
    lines = render_data(toy, Path("s"), tmp_path, check=True).splitlines()
    assert sum(line.endswith(": missing") for line in lines) == 5
    assert "  and 7 more; 12 problems in all" in lines


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("manifest.json", "{", "data/drawings/manifest.json: damaged ("),
        ("manifest.json", "{}", "data/drawings/manifest.json: damaged (KeyError"),
        ("lists/val.txt", "", "`fingerprint` does not match"),
        ("checksums.sha256", None, "checksums.sha256: No such file"),
    ],
)
def test_a_damaged_preparation_is_told_without_check(toy, prepared, tmp_path, file, content, said):
    if content is None:
        (prepared / file).unlink()
    else:
        (prepared / file).write_text(content)
    (status,) = data_status(toy, Path("s"), tmp_path)
    assert status.state == "damaged"
    assert said in status.problems[0] and str(tmp_path) not in status.problems[0]
    assert f"  {status.problems[0]}" in render_data(toy, Path("s"), tmp_path).splitlines()


def test_another_dataset_in_its_folder_is_damage(toy, prepared, tmp_path):
    manifest = prepared / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"drawings"', '"paintings"'))
    (status,) = data_status(toy, Path("s"), tmp_path)
    assert status.problems[0].startswith("data/drawings/manifest.json: holds paintings")


def test_a_preparation_for_other_counts_or_splits_is_not_whole(toy, prepared, tmp_path):
    drawings = toy.datasets["drawings"]
    changes = {"counts": {"train": 9, "val": 2}, "splits": drawings.splits | {"original": "odd"}}
    toy.datasets["drawings"] = drawings.model_copy(update=changes)
    (status,) = data_status(toy, Path("s"), tmp_path)
    assert status.problems == (
        "data/drawings/manifest.json: split `train` has 4 images, expected 9",
        "data/drawings/manifest.json: has no split `odd`, which drawings now asks for",
    )


def test_missing_archives_are_named_with_their_address(build, tmp_path):
    experiment = experiment_with(build, archives=ARCHIVES)
    (tmp_path / "mine").mkdir()
    (status,) = data_status(experiment, Path("mine"), tmp_path)
    assert status.next_step == (
        "download https://example.org/one.zip and two.zip from https://example.org/?id=2 into "
        "mine, then run `snakemake --cores all data/photos/manifest.json --config preset=full "
        "sources=mine`"
    )
    (tmp_path / "mine/one.zip").touch()
    (status,) = data_status(experiment, Path("mine"), tmp_path)
    assert [source.path for source in status.missing] == ["two.zip"]
    assert "missing: two.zip" in render_data(experiment, Path("mine"), tmp_path)
    (tmp_path / "mine/two.zip").touch()
    (status,) = data_status(experiment, tmp_path / "mine", tmp_path / "elsewhere")
    assert not status.missing and status.next_step.startswith("run `snakemake")


def test_a_folder_of_an_archives_name_is_not_the_archive(build, tmp_path):
    experiment = experiment_with(build, archives=ARCHIVES[:1])
    (tmp_path / "data/sources/one.zip").mkdir(parents=True)
    (status,) = data_status(experiment, Path("data/sources"), tmp_path)
    assert [source.path for source in status.missing] == ["one.zip"]


def test_cityscapes_needs_a_login(build, tmp_path):
    experiment = experiment_with(build, layout="cityscapes", archives=ARCHIVES)
    assert "a login" in render_data(experiment, Path("s"), tmp_path)
    for archive in ARCHIVES:
        (tmp_path / "s").mkdir(exist_ok=True)
        (tmp_path / "s" / archive.file).touch()
    assert "a login" not in render_data(experiment, Path("s"), tmp_path)


@pytest.fixture
def street(build, tmp_path):
    """Photographs that are used where they lie, obtained but not prepared."""
    splits = {"train": "train", "val": "val", "trainval": "trainval"}
    experiment = experiment_with(build, layout="camvid", counts=COUNTS, splits=splits)
    write_samples(tmp_path / "data/sources/photos")
    return experiment


def test_a_dataset_that_is_used_where_it_lies_is_a_folder(street, tmp_path):
    (status,) = data_status(street, Path("data/sources"), tmp_path)
    assert not status.missing and status.next_step.startswith("run `snakemake")
    (tmp_path / "data/sources/photos/val.txt").unlink()
    (status,) = data_status(street, Path("data/sources"), tmp_path)
    assert status.next_step.startswith("put photos/val.txt into data/sources, or name its parent")
    (status,) = data_status(street, Path("empty"), tmp_path)
    assert [source.path for source in status.missing] == ["photos/"]


def test_damage_to_the_users_own_files_is_not_mended_by_preparing_again(street, tmp_path):
    from dmnet.data.camvid import prepare

    source = tmp_path / "data/sources/photos"
    prepare(street.datasets["photos"], source, tmp_path / "data/photos")
    (status,) = data_status(street, Path("data/sources"), tmp_path, check=True)
    assert (status.state, status.splits["trainval"]) == ("prepared", 6)
    (source / "val/0.png").unlink()
    (status,) = data_status(street, Path("data/sources"), tmp_path, check=True)
    assert status.problems == ("data/sources/photos/val/0.png: missing",)
    assert status.next_step.startswith("put the original files back")


def test_a_prepared_dataset_whose_sources_were_removed_needs_nothing(build, tmp_path):
    experiment = experiment_with(build, archives=ARCHIVES, counts=COUNTS)
    folder = tmp_path / "data/photos"
    config = experiment.datasets["photos"]
    write_manifest(folder, config, folder / "raw", write_samples(folder / "raw"))
    (status,) = data_status(experiment, Path("s"), tmp_path)
    assert (status.state, status.next_step, len(status.missing)) == ("prepared", "nothing", 2)
    (folder / "checksums.sha256").write_text("")
    (status,) = data_status(experiment, Path("s"), tmp_path)
    assert status.next_step.startswith("download ") and "then delete data/photos" in (
        status.next_step
    )


def test_an_experiment_of_profiles_needs_no_data(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    text = render_data(build_experiment("mini", 1, ["table3"]), Path("s"), Path("/nowhere"))
    assert text == "Preset mini: no dataset is needed; every cell is profiled"


@pytest.mark.parametrize("preset", ["mini", "small", "paper"])
def test_every_dataset_of_every_preset_has_a_next_step(preset, monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    for status in data_status(build_experiment(preset), Path("data/sources"), tmp_path):
        assert status.state == "not prepared"
        assert f"data/{status.name}/manifest.json --config preset={preset}`" in status.next_step


def test_asking_writes_nothing_and_does_not_import_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.experiments import build_experiment\n"
        "from pipeline.inspection.data_status import render_data\n"
        "render_data(build_experiment('paper'), Path('s'), Path(sys.argv[1]), True)\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(command, check=True, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": "."})
    assert list(tmp_path.iterdir()) == []


def test_images_for_a_submission_say_so_and_where_to_log_in(tmp_path):
    text = render_data(build_experiment("paper", tables=["table7"]), root=tmp_path)
    assert "voc2012-test: not prepared (needed for the submission of table7 only)" in text
    assert "VOC2012test.tar, which needs a login (register at http://host.robots" in text
