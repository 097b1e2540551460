"""Resume states: the last two, each named by its SHA-256, in `runs/<key>/resume/`.

    resume/states.json              {"identity": {...}, "states": [older, newer]}
    resume/state-<iteration>.pt     model, optimizer, iteration, open sums of the history,
                                    and the attempts so far (dmnet/training/attempts.py)

A state is used only if its hash fits; a damaged one is passed over for the one before it. States
of another identity (other data, other start weights) are never used.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import torch

from dmnet.errors import DMNetError
from dmnet.files import read_json, sha256_bytes, write_bytes, write_json
from dmnet.weights import not_finite

log = logging.getLogger(__name__)
KEPT = 2


class ResumeStates:
    """The resume folder of one run. `identity` is what must be equal for a state to be usable."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder, self.identity = folder, identity

    @property
    def index(self) -> Path:
        return self.folder / "states.json"

    def _entries(self) -> list[dict[str, Any]]:
        if not self.index.exists():
            return []
        try:
            index = read_json(self.index)
            if index["identity"] != self.identity:
                log.warning("%s: other data or start weights; starting from zero", self.folder)
                return []
            return [
                {"file": str(e["file"]), "sha256": str(e["sha256"]), "iteration": e["iteration"]}
                for e in index["states"]
            ]
        except (DMNetError, KeyError, TypeError) as error:
            log.warning("%s: damaged index (%s); starting from zero", self.index, error)
            return []

    def save(self, state: dict[str, Any], iteration: int) -> None:
        """Raises RunError, the previous state untouched, when the disk is full or read-only."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        name = f"state-{iteration:08d}.pt"
        write_bytes(self.folder / name, content)
        entry = {"file": name, "sha256": sha256_bytes(content), "iteration": iteration}
        kept = [old for old in self._entries() if old["file"] != name][-(KEPT - 1) :]
        write_json(self.index, {"identity": self.identity, "states": [*kept, entry]})
        names = {name, *(old["file"] for old in kept)}
        for path in self.folder.glob("state-*.pt"):
            if path.name not in names:
                path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest state whose hash fits, with finite weights, on the CPU; None to start from
        zero."""
        for entry in reversed(self._entries()):
            path = self.folder / entry["file"]
            try:
                content = path.read_bytes()
            except OSError as error:
                log.warning("%s: cannot be read (%s); trying an older one", path, error.strerror)
                continue
            if sha256_bytes(content) != entry["sha256"]:
                log.warning("%s: damaged (its SHA-256 differs); trying an older one", path)
                continue
            state: dict[str, Any] = torch.load(
                io.BytesIO(content), map_location="cpu", weights_only=True
            )
            if not_finite(state["model"]):  # of before that kept a state from being saved
                log.warning("%s: has weights that are NaN or infinite; trying an older one", path)
                continue
            return state
        return None
