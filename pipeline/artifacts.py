"""DVC: every finished run is tracked as `runs/<key>.dvc`, a small file that git takes.

The only contact with DVC, by its command line. All runs go in one call: calls side by side would
fight for DVC's lock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import read_json
from pipeline.dvc_entries import folder_files, folder_md5, mark_pulled, read_entry
from pipeline.errors import RecordError

# What a report needs of a run; the weights are by far the largest of what else there is.
RESULTS = ("config.json", "train.json", "finished.json", "history.jsonl", "evaluations")


def track(keys: set[str], root: Path = Path(".")) -> str:
    """`dvc add` the finished ones of these runs; returns one line. Raises RecordError.

    A run of which only the results were pulled is left alone: its entry would lose the weights.
    """
    finished = [key for key in sorted(keys) if (root / "runs" / key / "train.json").exists()]
    whole = [key for key in finished if _has_weights(root / "runs" / key)]
    partial = len(finished) - len(whole)
    aside = f" ({partial} without weights left as they are)" if partial else ""
    if not whole:
        return f"DVC: no finished run to track{aside}"
    changed = [f"runs/{key}" for key in whole if not _is_tracked(root, key)]
    if changed:
        _dvc(["add", "--quiet", *changed], root, "`python -m pipeline record` to try again")
    return f"DVC: {len(whole)} runs tracked{aside}; `git add runs/*.dvc` and `dvc push` share them"


def pull(keys: Iterable[str] | None = None, results: bool = False, root: Path = Path(".")) -> str:
    """Bring the shared runs (all entries, or those of `keys`) here; returns one line.

    results: without weights. Raises RecordError. What was pulled gets the times of a run that was
    made here, so that Snakemake finds every result newer than what it rests on.
    """
    entries = sorted((root / "runs").glob("*.dvc"))
    wanted = [p.stem for p in entries if keys is None or p.stem in set(keys)]
    if not wanted:
        return "DVC: no shared run; `git pull` brings the entries runs/*.dvc of others"
    again = "`python -m pipeline pull` to go on"
    new = [key for key in wanted if not (root / "runs" / key / "train.json").exists()]
    targets = [f"runs/{key}.dvc" for key in wanted]
    if results:
        targets = [f"runs/{key}/{name}" for key in new for name in RESULTS]
    if targets:
        _dvc(["pull", "--quiet", *targets], root, again)
    for key in new:
        mark_pulled(key, root)
    for key in wanted:
        _order_times(root / "runs" / key)
    what = "results (no weights)" if results else "runs"
    return f"DVC: {len(wanted)} {what} are here; nothing of them is trained or measured again"


def _has_weights(folder: Path) -> bool:
    try:
        name = Path(str(read_json(folder / "train.json")["weights"]["file"])).name
    except (DMNetError, KeyError, TypeError):
        return False
    return (folder / name).exists()


def _is_tracked(root: Path, key: str) -> bool:
    """Whether the entry already names what lies there; DVC itself takes long to find that out."""
    path = root / "runs" / f"{key}.dvc"
    try:
        return path.exists() and read_entry(path).md5 == folder_md5(
            folder_files(root / "runs" / key)
        )
    except (RecordError, OSError):
        return False


def _order_times(folder: Path) -> None:
    """Configuration, manifest, evaluations: in the order in which the rules make them."""
    now = time.time()
    order = ["config.json", "train.json", *(p.name for p in folder.glob("evaluations/*.json"))]
    for index, name in enumerate(order):
        path = folder / name if index < 2 else folder / "evaluations" / name
        if path.exists():
            moment = now - (len(order) - index) * 0.01
            os.utime(path, (moment, moment))


def _dvc(arguments: list[str], root: Path, again: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        raise RecordError(
            f"dvc {arguments[0]}: {lines[0] if lines else 'failed'}; the runs are unharmed, give "
            f"{again}"
        )
