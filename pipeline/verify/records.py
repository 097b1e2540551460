"""DVC's entries such as `runs/<key>.dvc` against what they name, and DVC's local cache."""

from __future__ import annotations

import hashlib

from pipeline.dvc_entries import Entry, cached, entries, entry_of, file_md5, read_entry
from pipeline.errors import RecordError
from pipeline.run_status import is_training
from pipeline.verify.findings import Findings

RECORD = "`python -m pipeline record` writes it again"


def verify_records(findings: Findings) -> None:
    """Every entry names what lies in its place; what the local cache holds is whole."""
    for path in entries(findings.root):
        findings.checked["DVC entries"] += 1
        try:
            entry = read_entry(path, findings.root)
        except RecordError as error:
            findings.add(path, "a DVC entry", str(error), f"delete it; {RECORD}")
            continue
        for md5 in {*entry.outs.values(), *entry.files(findings.root).values()}:
            _verify_cached(findings, md5)
        if not (entry.is_run and is_training(entry.key, findings.root)):
            _verify_files(findings, entry)
    made = ("*/train.json", "*/evaluations/*.json")
    for kind in ("runs", "released"):
        for file in sorted(path for each in made for path in (findings.root / kind).glob(each)):
            named = entry_of(file.relative_to(findings.root).as_posix())
            if not (findings.root / named).exists():
                findings.missing(named, f"not shared; {RECORD}")


def _verify_files(findings: Findings, entry: Entry) -> None:
    for path, md5 in entry.files(findings.root).items():
        here = findings.root / path
        if not here.exists():
            findings.missing(path, f"`dvc pull {path}` brings it")
        elif md5 is not None:
            todo = f"`dvc checkout {path}` restores it, or if it is right: {RECORD}"
            findings.same(path, f"md5 of {entry.path}:", md5, file_md5(here), todo)


def _verify_cached(findings: Findings, md5: str | None) -> None:
    """An object that is not in the local cache is the remote's affair."""
    path = cached(md5 or "", findings.root)
    try:
        content = path.read_bytes()
    except OSError:
        return
    findings.checked["objects of DVC's cache"] += 1
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    todo = "delete it, then `dvc pull` or `python -m pipeline record`"
    name = path.relative_to(findings.root).as_posix()
    findings.same(name, "md5", (md5 or "").removesuffix(".dir"), found, todo)
