"""Presets: the scale at which everything runs, from `params/presets/`.

    paper   what the sources ran           mini    minutes on a laptop, drawn images
    small   real photographs, one machine  smoke   mini with a dozen iterations: does all of it run?

A preset may extend another: a site's own, say, with four GPUs for each training of `paper`, or a
variant of what the source leaves open: `paper-deep`, the other reading of the paper's stem.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from dmnet.config import ExecutionConfig, Section, parse
from pipeline.errors import SpecError
from pipeline.spec.yaml_files import Identifier, load_named


class PresetSpec(Section):
    """A scale: numbers that replace a resolved configuration's, and the stand-ins it uses."""

    title: str
    extends: Identifier | None = None
    judged: bool  # whether results may be compared with the published numbers
    shows: str  # what results at this scale do and do not show
    datasets: dict[Identifier, Identifier] = {}  # published dataset -> stand-in
    settings: dict[str, Any] = Field({}, alias="set")  # path -> number, over model and recipe
    # The same for one recipe or model and for those that extend it, over `set`.
    recipes: dict[Identifier, dict[str, Any]] = {}
    models: dict[Identifier, dict[str, Any]] = {}
    protocols: dict[Identifier, Identifier] = {}  # a table's protocol -> the one in its place
    inference: dict[Identifier, dict[str, Any]] = {}  # protocol -> its values at this scale
    cpu_threads: int = Field(1, ge=1)  # of a training process
    gpus: int = Field(0, ge=0)  # that a training or evaluation asks Snakemake for
    # Evaluations of so many views (images x scales x mirror images) use the optimised form, which
    # changes scores by rounding and is faster (dmnet/inference/form.py); null: none does.
    optimised_from: int | None = Field(None, ge=1)
    execution: ExecutionConfig

    @property
    def training_threads(self) -> int:
        """Of all processes of a training on one node."""
        return self.cpu_threads * (self.execution.processes // self.execution.nodes)

    @property
    def training_gpus(self) -> int:
        """One for each of a training's processes; evaluations have `gpus`."""
        return self.gpus and self.execution.processes

    @model_validator(mode="after")
    def _gpus(self) -> PresetSpec:
        """What Snakemake is asked for is what the jobs then compute on."""
        device = self.execution.device
        if device == "cuda" and not self.gpus:
            raise ValueError("`execution.device` is cuda, but `gpus` is 0; set `gpus: 1`")
        if device == "cpu" and self.gpus:
            raise ValueError(
                f"`execution.device` is cpu, but `gpus` is {self.gpus}: they would be taken and "
                "not used; set `gpus: 0`"
            )
        return self


# How many levels of mappings add up, key by key, over those of the preset that is extended. Deeper
# ones are values, replaced whole.
LEVELS = {
    **{"datasets": 1, "set": 1, "protocols": 1, "execution": 1},
    **{"recipes": 2, "models": 2, "inference": 2},
}


def load_preset(folder: Path, name: str) -> PresetSpec:
    """The preset `folder/name.yaml` over those it extends. Raises SpecError or ConfigError."""
    return parse(PresetSpec, _content(folder, name, "config `preset`"), _path(folder, name))


def _content(folder: Path, name: str, asked_by: str, below: tuple[str, ...] = ()) -> dict[str, Any]:
    if name in below:
        chain = " -> ".join([*below, name])
        raise SpecError(f"{_path(folder, name)}: extends itself ({chain})")
    _, own = load_named(folder, name, "preset", asked_by)
    base = own.get("extends")
    if not isinstance(base, str):  # none, or a fault that the schema tells
        return own
    inherited = _content(folder, base, f"{_path(folder, name)}: `extends`", (*below, name))
    parse(PresetSpec, inherited, _path(folder, base))  # its faults are its own
    added = {
        key: _over(inherited.get(key), value, LEVELS.get(key, 0)) for key, value in own.items()
    }
    return inherited | added


def _over(inherited: Any, own: Any, levels: int) -> Any:
    if levels == 0 or not isinstance(inherited, dict) or not isinstance(own, dict):
        return own
    added = {key: _over(inherited.get(key), value, levels - 1) for key, value in own.items()}
    return inherited | added


def _path(folder: Path, name: str) -> str:
    return str(folder / f"{name}.yaml")
