"""Which change makes which jobs necessary: asked by dry-runs on a finished Table 2."""

from __future__ import annotations

import base64
import re
import shutil

import pytest

TABLE2 = "params/tables/table2.yaml"
TINY = "params/presets/tiny.yaml"
CONTEXT_AWARE = (
    "{cell: context-aware, model: dmnet, with: {head.kernel_sizes: [1, 3, 5, 7]}, published: 78.21}"
)
REORDERED = (
    "{published: 78.21, with: {head.kernel_sizes: [1, 3, 5, 7]}, model: dmnet, cell: context-aware}"
)
REPORT_ONLY = {"report": 1}
EVERYTHING = {"train": 15, "evaluate": 15, "report": 1}


@pytest.fixture(scope="module")
def finished(whole, tmp_path_factory):
    return whole.copy(tmp_path_factory.mktemp("reruns") / "clone")


@pytest.fixture
def dry_run(finished):
    """Ask what is to do; afterwards params/ is as it was, its times included."""
    kept = finished.path.parent / "params"
    shutil.copytree(finished.path / "params", kept)
    yield lambda *arguments: finished.snakemake("-n", *(arguments or ("reports/table2.md",)))
    shutil.rmtree(finished.path / "params")
    shutil.move(kept, finished.path / "params")


@pytest.mark.parametrize(
    ("old", "new"),
    [("cell: context-aware,", "cell: ours,"), ("notes:", 'notes:\n  - "One more note."')],
    ids=["cell name", "note"],
)
def test_what_only_the_report_prints_renders_it_again_and_trains_nothing(
    finished, dry_run, old, new
):
    finished.replace(TABLE2, old, new)
    assert dry_run().jobs == REPORT_ONLY


@pytest.mark.parametrize(
    "file", ["pipeline/reports/write.py", "pipeline/experiments/experiment.py", "dmnet/text.py"]
)
def test_other_code_behind_a_report_writes_it_again_and_trains_nothing(finished, dry_run, file):
    """Found by what the report's command imports; no list names these files."""
    text = finished.read(file)
    finished.write(file, f"{text}\n# Another line.\n")
    try:
        assert dry_run().jobs == REPORT_ONLY
    finally:
        finished.write(file, text)


def test_what_means_the_same_needs_nothing(finished, dry_run):
    """Another order of keys, another spelling of a number, touched files, moved sources."""
    finished.replace(TABLE2, CONTEXT_AWARE, REORDERED)
    finished.replace(TINY, "recipe.lr: 0.05", "recipe.lr: 5.0e-2")
    for path in (finished.path / "params").rglob("*.yaml"):
        path.touch()
    result = dry_run("reports/table2.md", "--config", "preset=tiny", "sources=/elsewhere")
    assert "Nothing to be done" in result.text
    assert result.jobs == {}


def test_a_value_that_changes_weights_needs_new_runs(finished, dry_run):
    finished.replace(TINY, "recipe.lr: 0.05", "recipe.lr: 0.06")
    assert dry_run().jobs == EVERYTHING


def test_one_cells_own_value_needs_one_new_run(finished, dry_run):
    finished.replace(TABLE2, "head.dilations: [1, 2, 3, 4], head.depthwise: false", CHANGED_CELL)
    assert dry_run().jobs == {"train": 1, "evaluate": 1, "report": 1}


CHANGED_CELL = "head.dilations: [1, 2, 3, 5], head.depthwise: false"


def test_a_second_seed_trains_only_the_second_seed(dry_run):
    result = dry_run("reports/table2.md", "--config", "preset=tiny", "seeds=2")
    assert result.jobs == EVERYTHING


def test_how_a_run_is_carried_out_does_not_train_it_again(finished, dry_run):
    finished.replace(TINY, "log_every: 1", "log_every: 2")
    assert "train" not in dry_run().jobs


def test_table1_shares_the_context_aware_run_with_table2(dry_run):
    """12 cells, one of which Table 2 has trained already."""
    result = dry_run("reports/table1.md")
    assert result.jobs == {"train": 11, "evaluate": 11, "report": 1}


def test_both_tables_from_nothing_are_27_cells_and_26_runs(template, tmp_path):
    clone = template.copy(tmp_path / "clone")
    jobs = clone.snakemake("-n", "reports/table1.md", "reports/table2.md").jobs
    assert (jobs["train"], jobs["evaluate"], jobs["report"]) == (26, 26, 2)
    assert "27 cells, 26 training runs, 26 evaluations" in clone.pipeline("plan").text


def test_a_dry_run_imports_no_torch(finished, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('torch was imported')\n")
    bait = {"PYTHONPATH": str(tmp_path)}
    assert "torch was imported" in finished.python("-c", "import torch", **bait).text
    result = finished.snakemake("-n", "reports/table1.md", "reports/table2.md", **bait)
    assert result.code == 0, result.text


def test_a_dry_run_writes_nothing(template, tmp_path):
    clone = template.copy(tmp_path / "clone")
    assert clone.snakemake("-n", "reports/table2.md").code == 0
    new = clone.git("status", "--porcelain", "--ignored").splitlines()
    # Snakemake's own folder and Python's bytecode aside.
    assert [line for line in new if not line.endswith((".snakemake/", "__pycache__/"))] == []


def test_a_kill_as_a_run_was_resolved_keeps_nothing_back(small_template, tmp_path):
    """Snakemake marks the file as incomplete and makes it again. What rests on an `ancient` file
    that is made again it leaves out, even where it is missing, and says that all is done."""
    clone = small_template.copy(tmp_path / "clone")
    before = clone.snakemake("-n", "-p", "reports/one.md")
    (key,) = re.findall(r"pipeline resolve ([0-9a-f]{16})", before.text)
    config = f"runs/{key}/config.json"
    assert clone.snakemake(config).code == 0
    marker = base64.urlsafe_b64encode(config.encode()).decode()
    clone.write(f".snakemake/incomplete/{marker}", "")
    assert clone.snakemake("-n", "reports/one.md").jobs == before.jobs
