"""The same commit gives the same bytes, wherever it lies and in whatever order jobs run."""

from __future__ import annotations


def test_a_second_clone_gives_the_same_weights_and_the_same_reports(
    small, small_template, tmp_path
):
    twin = small_template.copy(tmp_path / "elsewhere")
    twin.record = False
    result = twin.snakemake("reports/three.md", "--cores", "1")
    assert result.code == 0, result.text
    assert len(twin.weights()) == 3
    assert twin.weights() == small.weights()
    for name in ("reports/three.md", "reports/three.json"):
        assert (twin.path / name).read_bytes() == (small.path / name).read_bytes()
