"""DVC's entries such as `runs/<key>.dvc` against what they name, and DVC's local cache."""

from __future__ import annotations

import os

from pipeline import paths
from pipeline.dvc.entries import DvcEntry, cached, entries, file_md5, printable, read_entry
from pipeline.dvc.guard import check_links
from pipeline.errors import RecordError
from pipeline.inspection.verify.findings import REPAIR, Findings, bring
from pipeline.results.run_status import is_training

RECORD = "`python -m pipeline record` writes it"


def verify_records(findings: Findings) -> None:
    """Every entry names what lies in its place; what the local cache holds is whole."""
    for path in entries(findings.root):
        findings.checked["DVC entries"] += 1
        try:
            entry = read_entry(path, findings.root)
            check_links(entry, findings.root)
            files = entry.files(findings.root)
        except RecordError as error:
            found, _, todo = str(error).removeprefix(f"{printable(path)}: ").partition("; ")
            findings.add(printable(path), "a DVC entry", found, todo)
            continue
        for md5 in filter(None, {*entry.outs.values(), *files.values()}):
            _verify_cached(findings, md5)
        if not (entry.is_run and is_training(entry.key, findings.root)):
            _verify_files(findings, entry, files)
    for kind in paths.OF_WEIGHTS:
        made = (paths.trained("*", kind), paths.evaluation("*", "*", kind))
        for file in sorted(path for each in made for path in findings.root.glob(each)):
            named = paths.entry(file.relative_to(findings.root).as_posix())
            if not findings.there(named):
                findings.missing(named, f"not shared; {RECORD}")


def _verify_files(findings: Findings, entry: DvcEntry, files: dict[str, str | None]) -> None:
    for path, md5 in files.items():
        here = findings.root / path
        if not here.exists():
            findings.missing(path, bring(path))
        elif md5 is not None:
            try:
                findings.same(path, f"md5 of {entry.path}:", md5, file_md5(here), REPAIR)
            except OSError as error:
                findings.add(path, "a readable file", str(error.strerror), REPAIR)


def _verify_cached(findings: Findings, md5: str) -> None:
    """An object that is not in the local cache is the remote's affair."""
    path = cached(md5, findings.root)
    try:
        found = file_md5(path)
    except OSError:
        return
    findings.checked["objects of DVC's cache"] += 1
    name = os.path.relpath(path, findings.root)
    findings.same(name, "md5", md5.removesuffix(".dir"), found, REPAIR)
