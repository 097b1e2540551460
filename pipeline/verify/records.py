"""DVC's entries `runs/<key>.dvc` against the runs' folders, and DVC's local cache."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pipeline.dvc_entries import CACHE, folder_files, folder_md5, read_entry
from pipeline.errors import RecordError
from pipeline.status import is_training
from pipeline.verify.findings import Findings

RECORD = "`python -m pipeline record` writes it again"


def verify_records(findings: Findings) -> None:
    """Every entry names what lies in its run's folder; what the local cache holds is whole."""
    for file in sorted((findings.root / "runs").glob("*.dvc")):
        path = f"runs/{file.name}"
        findings.checked["DVC entries"] += 1
        try:
            entry = read_entry(file)
        except RecordError as error:
            findings.add(path, "a DVC entry", str(error), f"delete it; {RECORD}")
            continue
        _verify_cached(findings, entry.md5)
        listed = _listing(findings, entry.md5)
        for item in listed or ():
            _verify_cached(findings, item["md5"])
        folder = findings.root / "runs" / file.stem
        if not folder.is_dir():
            findings.missing(f"runs/{file.stem}", f"`dvc pull {path}` brings it")
        elif not is_training(file.stem, findings.root):
            _verify_folder(findings, path, folder, entry.md5, listed)
    for file in sorted((findings.root / "runs").glob("*/train.json")):
        if not (findings.root / "runs" / f"{file.parent.name}.dvc").exists():
            findings.missing(f"runs/{file.parent.name}.dvc", f"not shared; {RECORD}")


def _verify_folder(
    findings: Findings, path: str, folder: Path, md5: str, listed: list[dict[str, str]] | None
) -> None:
    files = folder_files(folder)
    if folder_md5(files) == md5:
        return
    if listed is None:
        missing_weights = "weights.pt" not in files
        if missing_weights:
            findings.missing(f"runs/{folder.name}/weights.pt", f"`dvc pull {path}` brings it")
        else:
            findings.add(path, f"the folder's md5 {folder_md5(files)}", md5, RECORD)
        return
    expected = {item["relpath"]: item["md5"] for item in listed}
    for name in sorted({*files, *expected}):
        file = f"runs/{folder.name}/{name}"
        if name not in files:
            findings.missing(file, f"`dvc pull {file}` brings it")
        elif name not in expected:
            findings.add(path, f"an entry of {name}", "none", RECORD)
        elif files[name] != expected[name]:
            todo = f"`dvc checkout {file}` restores it, or if it is right: {RECORD}"
            findings.same(file, f"md5 of {path}:", expected[name], files[name], todo)


def _listing(findings: Findings, md5: str) -> list[dict[str, str]] | None:
    """The files of a folder by DVC's cache, None where it is not pulled or damaged."""
    path = findings.root / _object(md5)
    try:
        content: Any = json.loads(path.read_text())
        return [{"relpath": str(e["relpath"]), "md5": str(e["md5"])} for e in content]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _verify_cached(findings: Findings, md5: str) -> None:
    path = _object(md5)
    try:
        content = (findings.root / path).read_bytes()
    except OSError:
        return  # not in the local cache: the remote's affair
    findings.checked["objects of DVC's cache"] += 1
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    todo = "delete it, then `dvc pull` or `python -m pipeline record`"
    findings.same(path, "md5", md5.removesuffix(".dir"), found, todo)


def _object(md5: str) -> str:
    name = md5 if re.fullmatch(r"[0-9a-f]{32}(\.dir)?", md5) else "00"
    return f"{CACHE}/{name[:2]}/{name[2:]}"
