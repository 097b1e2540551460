"""What every table's report says, byte for byte, while nothing has run.

A change of code that is to change no report leaves these hashes as they are; one that is to change
some makes them anew by `python -m tests.pipeline.reports.test_bytes`, and CHANGELOG says why.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmnet.files import sha256_bytes, write_text
from pipeline.experiments import PARAMS, build_experiment
from pipeline.reports.build import build_report
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.model.base import json_of
from pipeline.reports.verdict import load_rules

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "reports.json"
SCALES = {"paper": "both", "mini": "trained"}  # preset -> weights


def digests(preset: str, empty: Path) -> dict[str, str]:
    """Table -> SHA-256 of its JSON and Markdown."""
    experiment, rules = (
        build_experiment(preset, 1, weights_source=SCALES[preset]),
        load_rules(PARAMS),
    )
    reports = {name: build_report(experiment, name, empty, rules) for name in experiment.tables}
    return {
        name: sha256_bytes((json_of(report) + render_markdown(report)).encode())
        for name, report in reports.items()
    }


@pytest.mark.parametrize("preset", SCALES)
def test_reports_say_what_they_said(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert digests(preset, tmp_path) == json.loads(GOLDEN.read_text())[preset]


if __name__ == "__main__":
    made = {preset: digests(preset, Path("/nonexistent")) for preset in SCALES}
    write_text(GOLDEN, json.dumps(made, indent=1) + "\n")
