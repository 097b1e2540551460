"""`reports/fidelity.md`: ours against recorded outputs of the reference implementations.

The comparisons are the tests' own (those that use the fixture `fidelity` of tests/conftest.py);
this runs them and lists what they recorded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tabulate import tabulate

from dmnet.files import read_json, sha256_bytes, sha256_file, to_json, write_text
from pipeline.errors import ResultError
from pipeline.reports.write import PARTIAL

TESTS = Path("tests/dmnet")
# What the comparisons rest on: the model package, its tests and the recorded outputs.
CODE = ("dmnet/**/*.py", "tests/conftest.py", "tests/dmnet/**/*.py", "tests/golden/*")


def compared_hash() -> str:
    """Changes with whatever could change a comparison."""
    files = sorted(path for pattern in CODE for path in Path().glob(pattern) if path.is_file())
    return sha256_bytes("".join(f"{path}{sha256_file(path)}" for path in files).encode())[:16]


def write_fidelity(folder: Path) -> None:
    """Run the comparisons and write `fidelity.json` and `.md` into `folder`.

    Raises ResultError if one does not hold (then the list is in `folder/partial`), or if the tests
    could not be run.
    """
    raw = folder / PARTIAL / "fidelity.json"
    raw.parent.mkdir(parents=True, exist_ok=True)
    raw.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", str(TESTS), "--fidelity", str(raw)]
    # Tests compare by assert, which this setting leaves out of all but pytest's own files.
    asserting = {name: value for name, value in os.environ.items() if name != "PYTHONOPTIMIZE"}
    code = subprocess.run(command, env=asserting, check=False).returncode
    found: dict[str, Any] = read_json(raw) if raw.exists() else {}
    if not found.get("comparisons"):
        raise ResultError(f"{TESTS}: no comparison was made; run `{' '.join(command[1:])}`")
    found["made"]["processor"] = processor()
    failed = [named(row) for row in found["comparisons"] if not row["holds"]]
    if code and not failed:
        found["broken"] = True
    text = render_fidelity(found)
    if code or failed:
        write_text(raw.with_suffix(".md"), text)
        names = "; ".join(failed[:3]) or BROKEN
        raise ResultError(f"{raw.with_suffix('.md')}: {names}; see the tests' output above")
    write_text(folder / "fidelity.json", to_json(found))
    write_text(folder / "fidelity.md", text)
    raw.unlink()


BROKEN = "a test failed before it compared"


def processor() -> str:
    import torch

    from dmnet.provenance import device_name

    return device_name(torch.device("cpu"))


def named(row: dict[str, Any]) -> str:
    return f"{row['model']}: {row['what']}"


def render_fidelity(found: dict[str, Any]) -> str:
    """How many comparisons hold and which fail; then a table per model: what was compared, the
    error, the limit, and the recording.

    found: `made` (processor, instructions, threads), `comparisons`, and `broken` if a test ended
    before it compared.
    """
    rows, made = found["comparisons"], found["made"]
    parts = [
        "# Ours against the reference implementations",
        *verdict(rows, found.get("broken", False)),
        f"Made on {made['processor']}, PyTorch using {made['instructions']}, "
        f"{made['threads']} thread{'s' if made['threads'] > 1 else ''}. The other side of each was "
        "recorded from the reference code itself (mmsegmentation 1.2.2, sssegmentation 1.7.0, "
        "under torch 2.13.0 on a CPU); the recordings are in `tests/golden`. Errors are those of "
        "this processor: another rounds otherwise, within the same limits.",
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        lines = [
            [
                row["what"],
                "yes" if row["holds"] else "**no**",
                f"{row['error']:.1e}" if row["error"] else "0",
                limit(row),
                row["measure"],
                f"`{row['source']}`",
            ]
            for row in own
        ]
        headers = ["Comparison", "Holds", "Error", "Limit", "Measured as", "Recorded in"]
        table = tabulate(lines, headers, tablefmt="pipe", disable_numparse=True)
        parts += [f"## {model}", table]
    return "\n\n".join(parts) + "\n"


def verdict(rows: list[dict[str, Any]], broken: bool) -> list[str]:
    """The report's first paragraphs."""
    failed = [row for row in rows if not row["holds"]]
    if broken:
        return [f"**Not complete: {BROKEN}.** The {len(rows)} comparisons that were made hold."]
    if not failed:
        return [f"All {len(rows)} comparisons hold."]
    lines = [f"- {named(row)}: error {row['error']:.1e}, limit: {limit(row)}" for row in failed]
    held = len(rows) - len(failed)
    return [f"**{len(failed)} of {len(rows)} comparisons fail**, {held} hold:", "\n".join(lines)]


def limit(row: dict[str, Any]) -> str:
    return f"{row['limit']:.0e}" if row["limit"] else "equal"
