"""DVC's entries such as `runs/<key>.dvc` against what they name, and DVC's local cache."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pipeline.dvc_entries import CACHE, entries, file_md5, folder_files, folder_md5, read_entry
from pipeline.errors import RecordError
from pipeline.status import is_training
from pipeline.verify.findings import Findings

RECORD = "`python -m pipeline record` writes it again"


def verify_records(findings: Findings) -> None:
    """Every entry names what lies in its place; what the local cache holds is whole."""
    for result in entries(findings.root):
        path, here = f"{result}.dvc", findings.root / result
        findings.checked["DVC entries"] += 1
        try:
            entry = read_entry(findings.root / path)
        except RecordError as error:
            findings.add(path, "a DVC entry", str(error), f"delete it; {RECORD}")
            continue
        _verify_cached(findings, entry.md5)
        if not here.exists():
            findings.missing(result, f"`dvc pull {path}` brings it")
        elif not here.is_dir():
            todo = f"`dvc checkout {path}` restores it, or if it is right: {RECORD}"
            findings.same(result, f"md5 of {path}:", entry.md5, file_md5(here), todo)
            continue
        listed = _listing(findings, entry.md5)
        for item in listed or ():
            _verify_cached(findings, item["md5"])
        if here.is_dir() and not is_training(here.name, findings.root):
            _verify_folder(findings, path, here, entry.md5, listed)
    for kind in ("runs", "released"):
        for file in sorted((findings.root / kind).glob("*/train.json")):
            if not (findings.root / kind / f"{file.parent.name}.dvc").exists():
                findings.missing(f"{kind}/{file.parent.name}.dvc", f"not shared; {RECORD}")


def _verify_folder(
    findings: Findings, path: str, folder: Path, md5: str, listed: list[dict[str, str]] | None
) -> None:
    files = folder_files(folder)
    if folder_md5(files) == md5:
        return
    if listed is None:
        if (folder / "train.json").exists() and "weights.pt" not in files:
            weights = f"{path.removesuffix('.dvc')}/weights.pt"
            findings.missing(weights, f"`dvc pull {path}` brings it")
        else:
            findings.add(path, f"the folder's md5 {folder_md5(files)}", md5, RECORD)
        return
    expected = {item["relpath"]: item["md5"] for item in listed}
    for name in sorted({*files, *expected}):
        file = f"{path.removesuffix('.dvc')}/{name}"
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
