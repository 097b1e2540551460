"""What DVC's files say, read without DVC: the entries `*.dvc`, their files and md5s.

    runs/<key>.dvc               configuration, manifest, history and weights of a run
    runs/<key>.<evaluation>.dvc  one evaluation of it: another clone's evaluation is another file,
                                 so that git merges what both did
    released/...                 the same for an imported checkpoint
    predictions/<key>.<name>.dvc a manifest and its label maps
    counts/<key>.json.dvc   speed/<key>.json.dvc   one measurement each

An entry names files one by one, so DVC removes nothing of a run that has no entry yet.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dmnet.errors import DMNetError
from pipeline.errors import RecordError
from pipeline.yaml_files import load_yaml

CACHE = ".dvc/cache/files/md5"
FOLDERS = ("runs", "released", "predictions")  # a folder for each key
FILES = ("counts", "speed")  # a file for each key


@dataclass(frozen=True)
class Entry:
    """What one `.dvc` file names."""

    path: str  # of the entry itself, such as runs/<key>.dvc; all paths are relative to the root
    outs: Mapping[str, str]  # path -> md5, of a folder ending in `.dir`

    @property
    def kind(self) -> str:
        return self.path.split("/", maxsplit=1)[0]

    @property
    def key(self) -> str:
        return PurePosixPath(self.path).name.split(".")[0]

    @property
    def is_run(self) -> bool:
        """Of a run or an imported checkpoint itself, not of an evaluation of it."""
        return self.path in (f"runs/{self.key}.dvc", f"released/{self.key}.dvc")

    def files(self, root: Path = Path(".")) -> dict[str, str | None]:
        """Path -> md5 of every file; a folder stands for itself, with None, where DVC's list of
        its files is not here or damaged."""
        found: dict[str, str | None] = {}
        for path, md5 in self.outs.items():
            if not md5.endswith(".dir"):
                found[path] = md5
            elif (listed := listing(md5, root)) is None:
                found[path] = None
            else:
                found |= {f"{path}/{name}": digest for name, digest in listed.items()}
        return found


def entry_of(path: str) -> str:
    """The entry that names a result: runs/<key>/evaluations/a.json -> runs/<key>.a.dvc."""
    kind, *rest = path.split("/")
    if kind in FILES:
        return f"{path}.dvc"
    own = rest[-1 if kind != "predictions" else 1].removesuffix(".json")
    part = f".{own}" if kind == "predictions" or "evaluations" in rest[1:-1] else ""
    return f"{kind}/{rest[0]}{part}.dvc"


def read_entry(path: str, root: Path = Path(".")) -> Entry:
    """Raises RecordError unless the file is an entry."""
    folder = PurePosixPath(path).parent
    try:
        outs = load_yaml(root / path)["outs"]
        return Entry(path, {str(folder / out["path"]): str(out["md5"]) for out in outs})
    except (DMNetError, KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{path}: no DVC entry with the md5 of every file ({error}); delete it and give "
            "`python -m pipeline record`"
        ) from error


def entries(root: Path = Path(".")) -> list[str]:
    """Every entry, such as `runs/<key>.dvc`, whether or not what it names is here."""
    found = [path for kind in (*FOLDERS, *FILES) for path in sorted((root / kind).glob("*.dvc"))]
    return [path.relative_to(root).as_posix() for path in found]


def weights_md5(run: str, root: Path = Path(".")) -> str | None:
    """The md5 under which DVC holds the weights of `runs/<key>`, None where it does not."""
    path = f"{run}.dvc"
    if not (root / path).exists():
        return None
    return read_entry(path, root).outs.get(f"{run}/weights.pt")


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


def file_md5(path: Path) -> str:
    """As DVC has it. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of(path: Path) -> str:
    """Of a file, or of a folder: then of the list of its files as JSON. Raises OSError."""
    if not path.is_dir():
        return file_md5(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    names = {file.relative_to(path).as_posix(): file for file in files}
    listed = [{"md5": file_md5(file), "relpath": name} for name, file in sorted(names.items())]
    content = json.dumps(listed, sort_keys=True).encode()
    return f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"
