"""Hashes made to fit a changed file, as somebody does who means it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dmnet.data.manifest import _fingerprint
from dmnet.files import sha256_file, write_json


def make_fit(root: Path, path: str) -> None:
    """Whatever names the file `path` by its hash names what lies there now."""
    file = root / path
    parts = path.split("/")
    # What was damaged before cannot be made to fit.
    with suppress(ValueError, KeyError, TypeError, OSError, AttributeError):
        if parts[0] in ("runs", "released") and file.name in ("weights.pt", "history.jsonl"):
            for name in ("train.json", "finished.json"):
                _edit(file.with_name(name), lambda c: c[file.stem].update(sha256=sha256_file(file)))
        elif file.parent.name == "resume" and file.suffix == ".pt":
            _edit(file.with_name("states.json"), lambda c: _state(c, file))
        elif parts[0] == "predictions" and file.suffix == ".png":
            manifest = file.parent.with_suffix(".json")
            _edit(manifest, lambda c: c["files"].update({file.name: sha256_file(file)}))
        elif parts[0] == "data" and file.name != "manifest.json":
            _fit_data(root / "data" / parts[1], file)


def _edit(path: Path, change: Callable[[Any], object]) -> None:
    if path.exists():
        content = json.loads(path.read_text())
        change(content)
        write_json(path, content)


def _state(index: Any, file: Path) -> None:
    for entry in index["states"]:
        if entry["file"] == file.name:
            entry["sha256"] = sha256_file(file)


def _fit_data(folder: Path, file: Path) -> None:
    sums = folder / "checksums.sha256"
    if file.suffix in (".png", ".jpg"):
        root = folder / json.loads((folder / "manifest.json").read_text())["root"]
        name = file.relative_to(root).as_posix()
        lines = [line for line in sums.read_text().splitlines() if not line.endswith(f"  {name}")]
        sums.write_text("".join(f"{line}\n" for line in [*lines, f"{sha256_file(file)}  {name}"]))
    _edit(
        folder / "manifest.json",
        lambda content: content.update(fingerprint=_fingerprint(folder, content["splits"])),
    )
