"""What DVC's files say, read without DVC: the entries `*.dvc`, their files and md5s.

    runs/<key>.dvc               configuration, manifest, history and weights of a run
    runs/<key>.<evaluation>.dvc  one evaluation of it: another clone's evaluation is another file,
                                 so that git merges what both did
    released/...                 the same for an imported checkpoint
    predictions/<key>.<name>.dvc a manifest and its label maps
    counts/<key>.json.dvc   speed/<key>.json.dvc   one measurement each

An entry names files one by one, so DVC removes nothing of a run that has no entry yet.

Entries arrive by git and lists of folders from the remote, and DVC follows whatever path they
give. So an entry is read line by line in the one form that DVC writes, and may name nothing but
the files of its own result; a list may name nothing but label maps directly in its folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dmnet.files import is_name, open_plain, read_bounded
from pipeline import paths
from pipeline.dvc.cache import cache_folder
from pipeline.errors import RecordError

LARGEST_ENTRY = 64 * 2**10  # bytes; a run's has 600
LARGEST_LIST = 64 * 2**20  # bytes of the list of a folder: some 600,000 label maps
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?", re.ASCII)
_FILE_MD5 = re.compile(r"[0-9a-f]{32}")
_ENTRY = re.compile(
    rf"(?P<kind>{'|'.join(paths.SHARED)})/(?P<key>{paths.KEY})"
    r"(?:\.(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*))?\.dvc",
    re.ASCII,
)
# A line of an out as DVC writes it: plain or quoted text in which YAML sees nothing else.
_LINE = re.compile(
    r"(?P<first>- |  )(?P<name>[a-z0-9]+): (?P<quote>'?)(?P<value>[\w./-]+)(?P=quote)"
)
# DVC puts a value that would pass column 80 on a line of its own.
_FOLDED = re.compile(r": \n {4}(?=\S)")
_VALUES = {
    "path": re.compile(r"[\w./-]+", re.ASCII),
    "md5": MD5,
    "hash": re.compile("md5"),
    "size": re.compile("[0-9]{1,15}"),
    "nfiles": re.compile("[0-9]{1,9}"),
    "isexec": re.compile("true|false"),  # on file systems where every file is
}


@dataclass(frozen=True)
class DvcEntry:
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
        return self.path in [f"{paths.run(self.key, kind)}.dvc" for kind in paths.OF_WEIGHTS]

    def files(self, root: Path = Path(".")) -> dict[str, str | None]:
        """Path -> md5 of every file; a folder stands for itself, with None, where DVC's list of
        its files is not here or damaged. Raises RecordError for a list that leaves the folder."""
        hashes: dict[str, str | None] = {}
        for path, md5 in self.outs.items():
            if not md5.endswith(".dir"):
                hashes[path] = md5
            elif (listed := listing(md5, root)) is None:
                hashes[path] = None
            else:
                hashes |= {f"{path}/{name}": digest for name, digest in listed.items()}
        return hashes


def read_entry(path: str, root: Path = Path(".")) -> DvcEntry:
    """Raises RecordError unless the file is an entry in DVC's form that names, with their md5s,
    files of its own result and nothing else."""
    outs = {}
    for out in _outs(path, root):
        if {"path", "md5", "hash"} - out.keys():
            raise _wrong(path, "no md5 for every file")
        outs[f"{path.split('/', maxsplit=1)[0]}/{out['path']}"] = out["md5"]
    return DvcEntry(path, outs)


def names_only(path: str, root: Path = Path(".")) -> bool:
    """Whether this entry has no md5s yet, as when a job was broken off before DVC gave them. Raises
    RecordError for what no entry may hold."""
    return all(out.keys() == {"path"} for out in _outs(path, root))


def without_md5s(outs: list[str]) -> str:
    """The text of an entry before DVC has stored the files."""
    names = [out.split("/", maxsplit=1)[1] for out in outs]
    return "outs:\n" + "".join(f"- path: {name}\n" for name in names)


def may_name(path: str) -> tuple[str, ...]:
    """What an entry of this path may name, relative to its folder; a folder ends in `/`.

    Raises RecordError for what is no entry's path.
    """
    match = _ENTRY.fullmatch(path)
    kind, key, name = match.group("kind", "key", "name") if match else ("", "", None)
    if kind in paths.OF_WEIGHTS and name is None:
        return tuple(f"{key}/{file}" for file in paths.SHARED_OF_RUN)
    if kind in paths.OF_WEIGHTS:
        return (f"{key}/{paths.EVALUATIONS}/{name}.json",)
    if kind == paths.PREDICTIONS and name is not None:
        return (f"{key}/{name}.json", f"{key}/{name}/")
    if kind in paths.MEASUREMENTS and name == "json":
        return (f"{key}.json",)
    raise RecordError(
        f"{printable(path)}: no name of an entry (docs/sharing.md lists them), so DVC is not given "
        "it; look where it came from (`git log -- FILE`) and delete it"
    )


def _outs(path: str, root: Path) -> list[dict[str, str]]:
    """The outs of an entry, checked; not all need to have md5s."""
    allowed = may_name(path)
    first, *lines = _FOLDED.sub(": ", _text(path, root)).split("\n")
    if first != "outs:" or len(lines) < 2 or lines.pop() != "":
        raise _wrong(path, "not begun by `outs:` or cut off")
    outs: list[dict[str, str]] = []
    for number, line in enumerate(lines, start=2):
        match = _LINE.fullmatch(line)
        name, value = match.group("name", "value") if match else ("", "")
        if match is None or name not in _VALUES or not _VALUES[name].fullmatch(value):
            raise _wrong(path, f"line {number} is none that an entry has")
        if match["first"] == "- ":
            outs.append({})
        if not outs or name in outs[-1]:
            raise _wrong(path, f"line {number} is out of place")
        outs[-1][name] = value
    for out in outs:
        name, md5 = out.get("path", ""), out.get("md5")
        places = {name, f"{name}/"}
        if md5 is not None:
            places = {f"{name}/" if md5.endswith(".dir") else name}
        if not places & {*allowed}:
            raise _wrong(path, f"it names {name or 'nothing'!r}, which is none of its own files")
    if len({out["path"] for out in outs}) < len(outs):
        raise _wrong(path, "it names a file twice")
    return outs


def _wrong(path: str, what: str) -> RecordError:
    return RecordError(
        f"{path}: no DVC entry of this project ({what}), so DVC is not given it; "
        f"`git checkout -- {path}` if git has a good one, else look where it came from, delete it "
        "and give `python -m pipeline record`"
    )


def _text(path: str, root: Path) -> str:
    """Of a plain file of bounded size, whatever line ends git gave it."""
    try:
        status = (root / path).lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_ENTRY:
            raise _wrong(path, f"no plain file of at most {LARGEST_ENTRY} bytes")
        return read_bounded(root / path, LARGEST_ENTRY).decode("ascii").replace("\r\n", "\n")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}); restore it") from error
    except UnicodeDecodeError as error:
        raise _wrong(path, "it is no ASCII text") from error


def printable(text: str) -> str:
    """One line in which no character moves a terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def entries(root: Path = Path(".")) -> list[str]:
    """Every entry, such as `runs/<key>.dvc`, whether or not what it names is here."""
    files = [path for kind in paths.SHARED for path in sorted((root / kind).glob("*.dvc"))]
    return [path.relative_to(root).as_posix() for path in files]


def weights_md5(run: str, root: Path = Path(".")) -> str | None:
    """The md5 under which DVC holds the weights of `runs/<key>`, None where it does not."""
    path = f"{run}.dvc"
    if not (root / path).exists():
        return None
    return read_entry(path, root).outs.get(f"{run}/{paths.WEIGHTS}")


def cached(md5: str, root: Path = Path(".")) -> Path:
    """Where DVC's cache, this clone's or one that several share, holds this object."""
    name = md5 if MD5.fullmatch(md5) else "00"
    return cache_folder(root) / name[:2] / name[2:]


def is_cached(md5: str, root: Path = Path(".")) -> bool:
    """Whether the cache holds this object, and whole."""
    try:
        return file_md5(cached(md5, root)) == md5.removesuffix(".dir")
    except OSError:
        return False


def listing(md5: str, root: Path = Path(".")) -> dict[str, str] | None:
    """A folder's files with their md5s by DVC's cache, None where it is not there or damaged.

    Raises RecordError for a list that names anything but label maps directly in the folder.
    """
    try:
        content = read_bounded(cached(md5, root), LARGEST_LIST)
    except (OSError, ValueError):
        return None
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return parse_listing(content, md5) if f"{digest}.dir" == md5 else None


def parse_listing(content: bytes, md5: str) -> dict[str, str]:
    """Raises RecordError for a list that names anything but label maps directly in the folder."""
    try:
        items = [(item["relpath"], item["md5"]) for item in json.loads(content)]
        whole = all(_is_label_map(name) and _FILE_MD5.fullmatch(digest) for name, digest in items)
        if whole and len({name for name, _ in items}) == len(items):
            return dict(items)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise RecordError(
        f"{md5}: DVC's list of a folder's files is none, or names another file than label maps "
        "(`*.png`) directly in that folder; DVC is not given it: look who pushed it, and make "
        "these predictions again"
    )


def _is_label_map(name: object) -> bool:
    """Such as `2007_000033.png`; not `evil.dvc` or `.gitattributes`."""
    text = str(name)
    return is_name(name) and ":" not in text and text[0] not in (".", "-") and text.endswith(".png")


def file_md5(path: Path) -> str:
    """As DVC has it. Raises OSError, for what is no plain file, too."""
    with open_plain(path) as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of(path: Path) -> str:
    """Of a file, or of a folder: then of the list of its files as JSON. Raises OSError."""
    if not path.is_dir():
        return file_md5(path)
    names = sorted(f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file())
    listed = [{"md5": file_md5(path / name), "relpath": name} for name in names]
    content = json.dumps(listed, sort_keys=True).encode()
    return f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"
