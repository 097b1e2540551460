"""Wrong input and unusable folders: one line that says where and what, and nothing half-written.

Messages go to a person: they name the file and the key, list what is valid, and have no Python
traceback.
"""

from __future__ import annotations

import resource
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.usefixtures("unrecorded")
TABLE = "params/tables/one.yaml"
TINY = "params/presets/tiny.yaml"
TARGET = "reports/one.md"
PAPER_ON_A_CPU = "title: slow\nextends: paper\ngpus: 0\nexecution: {device: cpu}\n"


@pytest.fixture
def clone(small_template, tmp_path):
    return small_template.copy(tmp_path / "clone")


def assert_refused(result, *words):
    """Refused, and one line of the output has all the words."""
    assert result.code != 0
    lines = [line for line in result.text.splitlines() if all(word in line for word in words)]
    assert lines, f"no line with {words} in:\n{result.text}"
    assert "Traceback (most recent call last)" not in result.text
    assert 'File "<' not in result.text


def test_a_setting_of_the_command_line(small_template):
    """The other mistakes are told by the same words: tests/pipeline/workflow/test_refusals.py."""
    result = small_template.snakemake("-n", TARGET, "--config", "preset=nope")
    assert_refused(result, "`preset`", "'nope'", "mini", "paper", "small", "tiny")


def test_a_wrong_value_in_params_names_file_and_key(clone):
    clone.replace(TINY, "recipe.lr: 0.05", "recipe.lr: -1")
    assert_refused(clone.snakemake("-n", TARGET), TINY, "lr`", "-1", "greater than 0")


def test_a_file_that_is_not_yaml(clone):
    clone.write(TABLE, "rows: [")
    assert_refused(clone.snakemake("-n", TARGET), TABLE, "not valid YAML", "line")


def test_an_unknown_report_lists_the_known_ones(small_template):
    result = small_template.snakemake("-n", "reports/table9.md")
    assert_refused(result, "reports/table9.md: unknown table", "one, table1, table2, three")


def test_a_run_that_no_table_has(small_template):
    result = small_template.snakemake("-n", "runs/0123456789abcdef/train.json")
    assert_refused(result, "runs/0123456789abcdef: no table has this run", "'tiny'")


@pytest.mark.parametrize(
    ("preset", "dataset", "words"),
    [
        (
            "slow",
            "voc2012aug",
            ["VOCtrainval_11-May-2012.tar", "benchmark.tgz", "http", "put into data/sources/"],
        ),
        ("small", "camvid", ["camvid", "data/sources/camvid", "sources=PARENT-FOLDER"]),
    ],
)
def test_data_that_only_a_person_can_get(clone, preset, dataset, words):
    """The message says what to put where, once, and the dataset is not half-prepared."""
    clone.write("params/presets/slow.yaml", PAPER_ON_A_CPU)
    result = clone.snakemake(TARGET, preset=preset)
    assert_refused(result, "error: ", *words)
    assert result.text.count(f"error: {dataset}: ") == 1
    folder = clone.path / "data" / dataset
    assert not folder.exists() or list(folder.iterdir()) == []
    assert clone.runs() == {}
    assert not (clone.path / TARGET).exists()


def test_start_weights_that_are_missing(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    clone.forget_runs()
    clone.replace(TINY, "  backbone.weights: null\n", "")
    clone.replace(TINY, "backbone.width: 4", "backbone.width: 64")
    result = clone.snakemake(TARGET)
    assert_refused(result, "weights/resnet50-0676ba61.pth", "missing", "download http")
    assert clone.runs() == {}
    assert clone.leftovers() == []


@pytest.mark.parametrize("name", ["runs", "reports"])
def test_a_results_folder_that_cannot_be_made(small, tmp_path, name):
    """A file in its place: also for root, whom no permission stops."""
    clone = small.copy(tmp_path / "clone")
    shutil.rmtree(clone.path / name)
    (clone.path / name).write_text("not a folder\n")
    result = clone.snakemake(TARGET)
    assert_refused(result, name)
    assert (clone.path / name).read_text() == "not a folder\n"


def test_a_full_disk_during_training_is_named_and_the_same_command_recovers(small, tmp_path):
    """The limit on the size of a file stands for the disk: states and weights do not fit."""
    clone = small.copy(tmp_path / "clone")
    key, *_ = sorted(clone.weights())
    folder = clone.path / "runs" / key
    for path in folder.iterdir():
        if path.is_file() and path.name != "config.json":
            path.unlink()
    command = ["-m", "dmnet", "train", "--config", f"runs/{key}/config.json", "--data", "data/tiny"]
    executable = clone.call("which", "python").text.strip()
    result = subprocess.run(
        [executable, *command],
        cwd=clone.path,
        env=clone.environment(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert f"runs/{key}/" in line and "cannot be written" in line
    assert "Traceback" not in result.stderr
    assert clone.leftovers() == []
    assert clone.python(*command).code == 0
    assert clone.weights() == small.weights()
