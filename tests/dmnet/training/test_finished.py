"""A finished run's manifest, which may not be what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dmnet.files import sha256_file, write_json
from dmnet.training.finished import finished_run

KEY, DATA = "0" * 16, "f" * 64


def finished(folder: Path, **changes: Any) -> dict[str, Any] | None:
    named = {}
    for name, file in (("weights", "weights.pt"), ("history", "history.jsonl")):
        (folder / file).write_text(name)
        named[name] = {"file": file, "sha256": sha256_file(folder / file)}
    write_json(folder / "finished.json", {"key": KEY, "data_fingerprint": DATA, **named, **changes})
    return finished_run(folder, KEY, DATA)


def test_a_whole_run(tmp_path: Path) -> None:
    assert finished(tmp_path) is not None


@pytest.mark.parametrize("file", ["/dev/zero", "../weights.pt", "a\0b", 1, None])
def test_it_vouches_for_no_file_elsewhere(tmp_path: Path, file: Any) -> None:
    """Whose hash would be taken for ever, or by the hour."""
    assert finished(tmp_path, weights={"file": file, "sha256": "0" * 64}) is None
