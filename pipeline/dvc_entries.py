"""What DVC's files say, read without DVC: `runs/<key>.dvc` and the md5 that it gives a folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import sha256_file, write_text
from pipeline.errors import RecordError
from pipeline.yaml_files import load_yaml

CACHE = ".dvc/cache/files/md5"
PULLED = "runs/.pulled"  # a mark per run that was made elsewhere


@dataclass(frozen=True)
class Entry:
    """One tracked folder."""

    path: str  # relative to the entry's own folder
    md5: str  # ends in `.dir`


def read_entry(path: Path) -> Entry:
    """Raises RecordError unless the file is an entry of one folder."""
    try:
        (out,) = load_yaml(path)["outs"]
        return Entry(str(out["path"]), str(out["md5"]))
    except (DMNetError, KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{path}: not an entry of one folder ({error}); delete it and give "
            "`python -m pipeline record`"
        ) from error


def dvc_hash(key: str, root: Path = Path(".")) -> str | None:
    """The md5 under which DVC holds the run, None where it does not."""
    path = root / "runs" / f"{key}.dvc"
    return read_entry(path).md5 if path.exists() else None


def folder_files(folder: Path) -> dict[str, str]:
    """Relative POSIX path -> md5 of every file, as DVC lists a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _md5(path) for path in files}


def folder_md5(files: dict[str, str]) -> str:
    """DVC's md5 of a folder with these files: that of their list as JSON."""
    listed = [{"md5": digest, "relpath": name} for name, digest in sorted(files.items())]
    content = json.dumps(listed, sort_keys=True).encode()
    return f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def mark_pulled(key: str, root: Path = Path(".")) -> None:
    """Remember that the run was made elsewhere, as long as its train.json stays what it is."""
    write_text(root / PULLED / key, sha256_file(root / "runs" / key / "train.json"))


def was_pulled(key: str, root: Path = Path(".")) -> bool:
    """Whether the run that lies here was made elsewhere."""
    try:
        mark = (root / PULLED / key).read_text()
        return mark == sha256_file(root / "runs" / key / "train.json")
    except OSError:
        return False
