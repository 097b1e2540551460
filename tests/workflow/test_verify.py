"""`python -m pipeline verify` names one changed byte anywhere; what is not here is no damage."""

from __future__ import annotations

import json

import pytest

from pipeline.inspection.verify import verify


@pytest.fixture
def clone(small, tmp_path, monkeypatch):
    clone = small.copy(tmp_path / "clone")
    monkeypatch.chdir(clone.path)
    return clone


def edit(path, *keys, value):
    content = entry = json.loads(path.read_text())
    for key in keys[:-1]:
        entry = entry[key]
    entry[keys[-1]] = value
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def first_run(clone):
    return clone.path / "runs" / sorted(clone.weights())[0]


def test_what_the_workflow_made_fits_and_says_how_much_was_checked(clone):
    result = clone.call("python", "-m", "pipeline", "verify")
    assert result.code == 0, result.text
    assert "does not fit" not in result.text
    for part in ("1 reports", "3 weights files", "3 evaluations", "6 DVC entries", "34 images"):
        assert part in result.text


@pytest.mark.parametrize(
    "name",
    ["weights.pt", "history.jsonl", "evaluations/*.json", "train.json", "config.json"],
)
def test_a_changed_byte_in_a_run_is_named(clone, name):
    (path,) = first_run(clone).glob(name)
    clone.flip_a_byte(path)
    wrong = verify().wrong
    file = path.relative_to(clone.path).as_posix()
    assert any(line.startswith(f"{file}: expected ") for line in wrong), wrong
    assert all("; " in line and "\n" not in line for line in wrong)


def test_a_changed_byte_in_the_data_is_named_unless_quick(clone):
    name = clone.read("data/tiny/checksums.sha256").split()[1]
    path = clone.path / "data" / "tiny" / clone.json("data/tiny/manifest.json")["root"] / name
    clone.flip_a_byte(path)
    (line,) = verify().wrong
    assert line.startswith(path.relative_to(clone.path).as_posix())
    assert "checksums.sha256" in line
    assert verify(quick=True).wrong == []


def test_a_changed_byte_in_dvcs_cache_is_named(clone):
    path = max(clone.path.glob(".dvc/cache/files/md5/*/*"), key=lambda path: path.stat().st_size)
    path.chmod(0o644)
    clone.flip_a_byte(path)
    # DVC may have linked the run's file to its cache; then it has changed as well.
    wrong = verify().wrong
    assert any(line.startswith(path.relative_to(clone.path).as_posix()) for line in wrong)


def test_a_measured_value_changed_by_hand_does_not_fit_its_confusion_matrix(clone):
    (path,) = first_run(clone).glob("evaluations/*.json")
    edit(path, "miou", value=0.9)
    assert any("miou by its confusion matrix" in line for line in verify().wrong)


def test_a_report_changed_by_hand_does_not_fit_the_runs(clone):
    path = clone.path / "reports" / "three.json"
    edit(path, "rows", 0, "Value", "ours", value=99.0)
    wrong = verify().wrong
    assert any("rows.0.Value.ours" in line and "found 99.0" in line for line in wrong)
    assert any(line.startswith("reports/three.md: ") for line in wrong)


def test_results_that_changed_after_the_report_do_not_fit_it(clone):
    first = first_run(clone)
    edit(first / "train.json", "weights", "sha256", value="0" * 64)
    wrong = verify().wrong
    assert any(
        line.startswith(f"runs/{first.name}/weights.pt: expected SHA-256 0000") for line in wrong
    )
    assert any("finished.json" in line for line in wrong)


def test_weights_that_are_not_pulled_are_no_damage_but_lost_ones_are(clone):
    run = first_run(clone)
    (run / "weights.pt").unlink()
    findings = verify()
    assert findings.wrong == []
    assert f"runs/{run.name}/weights.pt: not here" in "\n".join(findings.absent)
    run.with_suffix(".dvc").unlink()
    assert any(line.startswith(f"runs/{run.name}/weights.pt: expected") for line in verify().wrong)


def test_the_exit_code_says_that_something_does_not_fit(clone):
    clone.flip_a_byte(first_run(clone) / "weights.pt")
    result = clone.call("python", "-m", "pipeline", "verify", "--quick")
    assert result.code == 1
    assert "error: " in result.text and "Traceback" not in result.text
