"""What DVC's files say, read without DVC: entries like `runs/<key>.dvc`, and its md5s."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import sha256_file, write_text
from pipeline.errors import RecordError
from pipeline.yaml_files import load_yaml

CACHE = ".dvc/cache/files/md5"
FOLDERS = ("runs", "released", "predictions")  # an entry for each key's folder
FILES = ("counts", "speed")  # an entry for each key's file


@dataclass(frozen=True)
class Entry:
    """One tracked folder or file."""

    path: str  # relative to the entry's own folder
    md5: str  # of a folder it ends in `.dir`


def read_entry(path: Path) -> Entry:
    """Raises RecordError unless the file is an entry of one folder or file."""
    try:
        (out,) = load_yaml(path)["outs"]
        return Entry(str(out["path"]), str(out["md5"]))
    except (DMNetError, KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{path}: not an entry of one folder or file ({error}); delete it and give "
            "`python -m pipeline record`"
        ) from error


def dvc_hash(path: str, root: Path = Path(".")) -> str | None:
    """The md5 under which DVC holds `runs/<key>` or such, None where it does not."""
    entry = root / f"{path}.dvc"
    return read_entry(entry).md5 if entry.exists() else None


def entries(root: Path = Path(".")) -> list[str]:
    """The path, here or not, of everything that has an entry, such as `runs/<key>`."""
    found = [path for kind in (*FOLDERS, *FILES) for path in sorted((root / kind).glob("*.dvc"))]
    return [path.relative_to(root).as_posix().removesuffix(".dvc") for path in found]


def cached(md5: str, root: Path = Path(".")) -> Path:
    """Where DVC's local cache holds this object."""
    name = md5 if re.fullmatch(r"[0-9a-f]{32}(\.dir)?", md5) else "00"
    return root / CACHE / name[:2] / name[2:]


def listing(md5: str, root: Path = Path(".")) -> dict[str, str] | None:
    """A folder's files with their md5s by DVC's cache, None where it is not there or damaged."""
    try:
        content = cached(md5, root).read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.removesuffix(".dir"):
            return None
        return {str(item["relpath"]): str(item["md5"]) for item in json.loads(content)}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measurements(root: Path = Path(".")) -> list[str]:
    """`counts/<key>.json` and `speed/<key>.json`, as they lie here."""
    found = [path for kind in FILES for path in sorted((root / kind).glob("*.json"))]
    return [path.relative_to(root).as_posix() for path in found]


def folder_files(folder: Path) -> dict[str, str]:
    """Relative POSIX path -> md5 of every file, as DVC lists a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_md5(path) for path in files}


def folder_md5(files: dict[str, str]) -> str:
    """DVC's md5 of a folder with these files: that of their list as JSON."""
    listed = [{"md5": digest, "relpath": name} for name, digest in sorted(files.items())]
    content = json.dumps(listed, sort_keys=True).encode()
    return f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"


def file_md5(path: Path) -> str:
    """As DVC has it. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def mark_pulled(path: str, root: Path = Path(".")) -> None:
    """Remember that `runs/<key>` was made elsewhere, as long as its train.json stays what it is."""
    write_text(_mark(path, root), sha256_file(root / path / "train.json"))


def was_pulled(path: str, root: Path = Path(".")) -> bool:
    """Whether the `runs/<key>` that lies here was made elsewhere."""
    try:
        return _mark(path, root).read_text() == sha256_file(root / path / "train.json")
    except OSError:
        return False


def _mark(path: str, root: Path) -> Path:
    kind, key = path.split("/")
    return root / kind / ".pulled" / key
