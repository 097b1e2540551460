"""The README says what docs/gpu holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import SpecError
from pipeline.inspection.gpu_status import gpu_row

ROOT = Path(__file__).resolve().parents[3]
BENCH = {"machine": {"ours": {"device": "NVIDIA L40S"}}, "code": {"commit": "f" * 40}}
CHECK = {"a": {"machine": {"nvidia_smi": "NVIDIA H100 80GB HBM3, 580.65.06", "commit": "abc12 x"}}}


def test_the_readme_s_row_is_the_folder_s(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert gpu_row() in (ROOT / "README.md").read_text().splitlines()


def test_each_file_is_a_card_with_its_commit(tmp_path):
    assert gpu_row(tmp_path) == "| GPU | GPU: never run |"
    (tmp_path / "bench-l40s.json").write_text(json.dumps(BENCH))
    (tmp_path / "gpu.json").write_text(json.dumps(CHECK))
    assert gpu_row(tmp_path) == (
        f"| GPU | GPU: measured on [NVIDIA L40S, commit ffffffffffff]({tmp_path}/bench-l40s.json); "
        f"[NVIDIA H100 80GB HBM3, commit abc12]({tmp_path}/gpu.json) |"
    )


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"machine": {"ours": {"device": "CPU"}}, "code": {"commit": None}},
        {"a": {"machine": {**CHECK["a"]["machine"], "dry": True}}},
        {"a": {"machine": {"nvidia_smi": "", "commit": "abc x"}}},
    ],
)
def test_what_was_not_measured_on_a_gpu_is_refused(content, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(SpecError, match=r"x.json: tells no GPU"):
        gpu_row(tmp_path)
