"""On which GPUs this was measured, for the README: from the files in `docs/gpu/` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dmnet.files import read_json
from pipeline.errors import SpecError

FOLDER = Path("docs/gpu")
CPU = "CPU"  # what `make bench` calls it


def gpu_row(folder: Path = FOLDER) -> str:
    """A row of the README's table."""
    found = [_measurement(file) for file in sorted(folder.glob("*.json"))]
    return f"| GPU | GPU: measured on {'; '.join(found)} |" if found else "| GPU | GPU: never run |"


def _measurement(file: Path) -> str:
    """A link to it. Raises SpecError or RunError for a file that is none."""
    content = read_json(file)
    for read in (_of_bench, _of_check):
        try:
            card, commit = read(content)
        except (KeyError, TypeError, AttributeError):
            continue
        if card and card != CPU:
            return f"[{card}, commit {(commit or 'unknown')[:12]}]({file.as_posix()})"
    raise SpecError(
        f"{file}: tells no GPU that it was measured on; expected what `make bench` or a check "
        "writes on one (machine.ours.device, or a.machine.nvidia_smi); remove it"
    )


def _of_bench(content: Any) -> tuple[str, str | None]:
    return content["machine"]["ours"]["device"], content["code"]["commit"]


def _of_check(content: Any) -> tuple[str, str | None]:
    machine = content["a"]["machine"]
    if machine.get("dry"):
        return "", None
    return machine["nvidia_smi"].split(",")[0].strip(), machine["commit"].split(" ")[0]
