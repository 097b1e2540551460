"""`reports/fidelity.md`: ours against recorded outputs of the reference implementations.

The comparisons are the tests' own (those that use the fixture `fidelity` of tests/conftest.py);
this runs them and lists what they recorded.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tabulate import tabulate

from dmnet.files import read_json, sha256_bytes, sha256_file, to_json, write_text
from pipeline.errors import ResultError
from pipeline.written import PARTIAL

TESTS = Path("tests/dmnet")
# What the comparisons rest on: the model package, its tests and the recorded outputs.
CODE = ("dmnet/**/*.py", "tests/conftest.py", "tests/dmnet/**/*.py", "tests/golden/*")


def code_hash() -> str:
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
    code = subprocess.run(command, check=False).returncode
    rows: list[dict[str, Any]] = read_json(raw) if raw.exists() else []
    if not rows:
        raise ResultError(f"{TESTS}: no comparison was made; run `{' '.join(command[1:])}`")
    failed = [f"{row['model']}: {row['what']}" for row in rows if not row["holds"]]
    if code or failed:
        write_text(raw.with_suffix(".md"), render_fidelity(rows))
        names = "; ".join(failed[:3]) or "a test failed before it compared"
        raise ResultError(f"{raw.with_suffix('.md')}: {names}; see the tests' output above")
    write_text(folder / "fidelity.json", to_json(rows))
    write_text(folder / "fidelity.md", render_fidelity(rows))
    raw.unlink()


def render_fidelity(rows: list[dict[str, Any]]) -> str:
    """One table per model: what was compared, the error, the limit, and the test that did it."""
    held = sum(row["holds"] for row in rows)
    parts = [
        "# Ours against the reference implementations",
        f"{held} of {len(rows)} comparisons hold. The other side of each was recorded from the "
        "reference code itself (mmsegmentation 1.2.2, sssegmentation 1.7.0, under torch 2.13.0 on "
        "a CPU); the recordings are in `tests/golden`. Errors are measured on the machine that "
        "wrote this report.",
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        lines = [
            [
                row["what"],
                f"{row['error']:.1e}" if row["error"] else "0",
                f"{row['limit']:.0e}" if row["limit"] else "equal",
                row["measure"],
                "" if row["holds"] else "**no**",
                f"`{row['source']}`",
            ]
            for row in own
        ]
        headers = ["Comparison", "Error", "Limit", "Measured as", "Fails", "Recorded in"]
        table = tabulate(lines, headers, tablefmt="pipe", disable_numparse=True)
        parts += [f"## {model}", table]
    return "\n\n".join(parts) + "\n"
