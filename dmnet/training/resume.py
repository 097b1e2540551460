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
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from dmnet.errors import DMNetError
from dmnet.files import is_name, read_bounded, read_json, sha256_bytes, write_bytes, write_json
from dmnet.text import reason
from dmnet.weights import not_finite, why_unreadable

log = logging.getLogger(__name__)
KEPT = 2
ENTRY = ("file", "sha256", "iteration")
MAX_BYTES = 16 * 2**30  # three times the weights of the largest model, and more

Finite = Annotated[float, Field(allow_inf_nan=False, ge=0)]
Whole = Annotated[int, Field(ge=0, lt=2**63)]


class State(BaseModel):
    """What a state says in numbers. Whether all is there, and its tensors, is seen where they are
    loaded."""

    model_config = ConfigDict(strict=True, extra="allow", arbitrary_types_allowed=True)

    iteration: Whole
    model: dict[str, Tensor] | None = None
    sums: dict[str, Any] | None = None
    seconds: Finite = 0.0
    val_miou: Annotated[float, Field(ge=0, le=1)] | None = None
    validated: Whole | None = None
    validation_seconds: Finite = 0.0
    processes: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = [1]
    attempts: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None


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
            entries = [{name: e[name] for name in ENTRY} for e in index["states"]]
            if all(is_name(entry["file"]) for entry in entries):
                return entries
            raise KeyError("a file outside of its folder")
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
                content = read_bounded(path, MAX_BYTES)
            except (OSError, ValueError) as error:
                log.warning("%s: cannot be read (%s); trying an older one", path, reason(error))
                continue
            if sha256_bytes(content) != entry["sha256"]:
                log.warning("%s: damaged (its SHA-256 differs); trying an older one", path)
                continue
            try:
                state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
                State.model_validate(state)
            except Exception as error:  # a pickle cut or forged at any byte raises anything
                why = why_unreadable(error)
                log.warning("%s: no resume state (%s); trying an older one", path, why)
                continue
            if not_finite(state["model"]):  # of before that kept a state from being saved
                log.warning("%s: has weights that are NaN or infinite; trying an older one", path)
                continue
            return dict(state)
        return None
