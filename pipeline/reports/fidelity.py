"""`reports/fidelity.md`: ours against recorded outputs of the reference implementations.

The comparisons are the tests' own (those that use the fixture `fidelity` of tests/conftest.py);
this runs them and lists what they recorded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dmnet.files import sha256_bytes, sha256_file, write_text
from pipeline.errors import ResultError
from pipeline.reports.markdown.tables import pipe_table
from pipeline.reports.model.base import json_of
from pipeline.reports.model.fidelity import Comparison, Fidelity
from pipeline.reports.write import PARTIAL
from pipeline.results.files import read_result_file

TESTS = Path("tests/dmnet")
# What the comparisons rest on: the model package, its tests and the recorded outputs.
BROKEN = "a test failed before it compared"
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
    told = read_result_file(raw, Fidelity) if raw.exists() else None
    if told is None or not told.comparisons:
        raise ResultError(f"{TESTS}: no comparison was made; run `{' '.join(command[1:])}`")
    made = told.made.model_copy(update={"processor": processor()})
    broken = code != 0 and not told.failed
    fidelity = Fidelity(made=made, comparisons=told.comparisons, broken=broken)
    text = render_fidelity(fidelity)
    if fidelity.broken or fidelity.failed:
        write_text(raw.with_suffix(".md"), text)
        names = "; ".join(row.name for row in fidelity.failed[:3]) or BROKEN
        raise ResultError(f"{raw.with_suffix('.md')}: {names}; see the tests' output above")
    write_text(folder / "fidelity.json", json_of(fidelity))
    write_text(folder / "fidelity.md", text)
    raw.unlink()


def processor() -> str:
    import torch

    from dmnet.provenance import device_name

    return device_name(torch.device("cpu"))


def render_fidelity(fidelity: Fidelity) -> str:
    """How many comparisons hold and which fail; then a table per model: what was compared, the
    error, the limit, and the recording."""
    rows, made = fidelity.comparisons, fidelity.made
    parts = [
        "# Ours against the reference implementations",
        *_summary(fidelity),
        f"Made on {made.processor}, PyTorch using {made.instructions}, "
        f"{made.threads} thread{'s' if made.threads > 1 else ''}. The other side of each was "
        "recorded from the reference code itself (mmsegmentation 1.2.2, sssegmentation 1.7.0, "
        "under torch 2.13.0 on a CPU); the recordings are in `tests/golden`. Errors are those of "
        "this processor: another rounds otherwise, within the same limits.",
    ]
    for model in dict.fromkeys(row.model for row in rows):
        lines = [
            [
                row.what,
                "yes" if row.holds else "**no**",
                f"{row.error:.1e}" if row.error else "0",
                _limit(row),
                row.measure,
                f"`{row.source}`",
            ]
            for row in rows
            if row.model == model
        ]
        headers = ["Comparison", "Holds", "Error", "Limit", "Measured as", "Recorded in"]
        parts += [f"## {model}", pipe_table(lines, headers)]
    return "\n\n".join(parts) + "\n"


def _summary(fidelity: Fidelity) -> list[str]:
    """The report's first paragraphs."""
    count, failed = len(fidelity.comparisons), fidelity.failed
    if fidelity.broken:
        return [f"**Not complete: {BROKEN}.** The {count} comparisons that were made hold."]
    if not failed:
        return [f"All {count} comparisons hold."]
    lines = [f"- {row.name}: error {row.error:.1e}, limit: {_limit(row)}" for row in failed]
    held = count - len(failed)
    return [f"**{len(failed)} of {count} comparisons fail**, {held} hold:", "\n".join(lines)]


def _limit(row: Comparison) -> str:
    return f"{row.limit:.0e}" if row.limit else "equal"
