"""What a Snakemake profile asks a cluster for, and what the cluster's partitions allow.

Only what a plan needs: the resources of a rule, retries, requeueing, jobs at once. Snakemake itself
reads the profiles in its own way when it runs.
"""

from __future__ import annotations

import ast
import operator
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import SpecError
from pipeline.spec.yaml_files import load_yaml

SINFO_SECONDS = 10.0
OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul},
    **{ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv},
}


@dataclass(frozen=True)
class SiteProfile:
    """Several profiles laid over each other: a top-level key of a later one replaces it whole."""

    content: dict[str, Any]

    @classmethod
    def read(cls, folders: list[Path]) -> SiteProfile:
        """Raises SpecError for a folder without a profile's file."""
        content: dict[str, Any] = {}
        for folder in folders:
            content |= load_yaml(_file(folder))
        return cls(content)

    def resource(self, rule: str, name: str, own: Any = None, attempt: int = 1) -> Any:
        """What the rule asks for: `set-resources`, else `own`, the rule's, else the default."""
        chosen = _mapping(_mapping(self.content.get("set-resources")).get(rule)).get(name)
        if chosen is None:
            chosen = own
        if chosen is None:
            chosen = _mapping(self.content.get("default-resources")).get(name)
        return _number(chosen, attempt) if isinstance(chosen, str) else chosen

    def partition(self, rule: str, known: dict[str, Partition] | None) -> str | None:
        """Its name: what the rule asks for, else the cluster's default."""
        default = next((p.name for p in (known or {}).values() if p.default), None)
        return self.resource(rule, "slurm_partition") or default

    def minutes(self, rule: str, own: int | None, attempt: int = 1) -> int | None:
        """None where nothing is asked for, or nothing that can be read here (`2h` can)."""
        value = self.resource(rule, "runtime", own, attempt)
        if isinstance(value, str):
            return time_limit(value)
        return None if value is None else int(value)

    @property
    def retries(self) -> int:
        return int(self.content.get("retries", 0))

    @property
    def requeues(self) -> bool:
        return bool(self.content.get("slurm-requeue", False))

    @property
    def jobs(self) -> int:
        """At once."""
        return int(self.content.get("jobs", 1))


def _file(folder: Path) -> Path:
    """As Snakemake looks for it: the newest `config.vN+.yaml`, else `config.yaml`."""
    versions = sorted(folder.glob("config.v*+.yaml"))
    for path in (*reversed(versions), folder / "config.yaml"):
        if path.is_file():
            return path
    raise SpecError(f"--profile {folder}: no config.v9+.yaml and no config.yaml there")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(text: str, attempt: int) -> Any:
    """`attempt * 60` as a number; what is no arithmetic of numbers and `attempt` stays a text."""

    def value(node: ast.expr) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return node.value
        if isinstance(node, ast.Name) and node.id == "attempt":
            return attempt
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        raise ValueError(text)

    try:
        return value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return text


@dataclass(frozen=True)
class Partition:
    name: str
    minutes: int | None  # None: no limit
    gpus: bool
    default: bool
    models: frozenset[str] = frozenset()  # of its GPUs, by the site's names


def partitions() -> dict[str, Partition] | None:
    """Of the cluster whose login node this is; None elsewhere, or when it does not answer."""
    command = ["sinfo", "-h", "-o", "%P|%l|%G"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SINFO_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return read_partitions(done.stdout)


def read_partitions(text: str) -> dict[str, Partition]:
    """Lines `name*|limit|gres`, several for a partition with different nodes."""
    by_name: dict[str, Partition] = {}
    for line in text.splitlines():
        name, limit, gres = line.strip().split("|")
        key = name.rstrip("*")
        before = by_name.get(key)
        gpus = "gpu" in gres or (before is not None and before.gpus)
        # `gpu:a100:4(S:0-1),gpu:v100:2`; without a model `gpu:4`.
        models = frozenset(re.findall(r"gpu:([A-Za-z][^:,()]*)", gres))
        models |= before.models if before else frozenset()
        by_name[key] = Partition(key, time_limit(limit), gpus, name.endswith("*"), models)
    return by_name


def time_limit(text: str) -> int | None:
    """Minutes of SLURM's `D-HH:MM:SS`, `HH:MM:SS`, `MM:SS` or Snakemake's `2h`; else None."""
    if short := re.fullmatch(r"(\d+)([mhd])", text):
        return int(short[1]) * {"m": 1, "h": 60, "d": 1440}[short[2]]
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return 1440 * days + 60 * hours + minutes
