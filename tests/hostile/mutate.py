"""Files as a stranger, a careless colleague or a rotten disk leaves them, drawn from a seed.

`mutate` takes what is in a file's place and puts something else there: other values, other text,
other bytes, an archive with other members, or no plain file at all.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

HTML = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TERMINAL = "\x1b]0;OWNED\x07\x1b[2J\x1b[31mred"
NAMES = [
    *("../../precious", "../outside/precious", "/etc/passwd", "/dev/zero", "/dev/stdin", "a/b"),
    *("--output=precious", "-", "~", "~root/x", ".", "..", "", "a\x00b", "con.txt", "x" * 300),
    *("a b", "a\\b", "ä\u0308", "\u202egnp.exe"),
]
NUMBERS = [
    *(-1, 0, 1, 2, 255, 256, 2**31, 2**32, 2**63 - 1, 2**63, 10**30, -(2**62), 10**400),
    *(1.5, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
]
TEXTS = [
    *("0" * 64, "0" * 40, "0" * 16, "x" * 10_000, HTML, TERMINAL, "a|b\n`c`", "\ud800", "1e999")
]
OTHERS = [None, True, False, [], {}, [None], [[]], [0, "a"], {"": 0}, {"sha256": 1}, [1] * 300]
LINES = [
    *("", "\x00", "[" * 50_000, "{" * 2_000, "é", '"', "'", "9" * 5000, ": :", "- - -", "\t", "\r"),
    *(
        "&a [*a, *a]",
        "!!python/object/apply:os.system [touch precious]",
        "!!binary x",
        "? ",
        "<<: *x",
    ),
    *(
        "../../precious ../precious",
        "/etc/passwd /etc/passwd",
        "a  ../../precious",
        "%YAML 9.9",
        "---",
    ),
    *("2001-02-32", "1e1000000", "0x" + "f" * 400, "\u2028", TERMINAL, HTML, "\ufeff", "=1+1"),
]
ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".zip", ".pt", ".pth")
STRUCTURED = (".json", ".jsonl", ".yaml")
LISTS = (".txt", ".dvc", ".sha256", ".csv", ".tsv", ".md", ".lock", "")

Draw = random.Random


def mutate(path: Path, draw: Draw) -> str:
    """Change what lies at `path`; returns in words how."""
    if draw.random() < 0.12:
        return _special(path, draw)
    content = path.read_bytes()
    if len(content) > 2**22:  # only its size and some bytes matter
        path.write_bytes(_bytes(content, draw))
        return "bytes"
    for suffixes, change in ((ARCHIVES, _archive), (STRUCTURED, _structure), (LISTS, _text)):
        if path.suffix in suffixes and draw.random() < 0.85:
            path.write_bytes(change(content, draw, path.suffix))
            return change.__name__.strip("_")
    path.write_bytes(_bytes(content, draw))
    return "bytes"


# --------------------------------------------------------------------------- no plain file


def _special(path: Path, draw: Draw) -> str:
    kinds: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "empty": lambda: path.write_bytes(b""),
        "a folder": lambda: (path.mkdir(), (path / "x").write_text("x")),
        "a pipe": lambda: os.mkfifo(path),
        "a link to nothing": lambda: path.symlink_to("nowhere"),
        "a link to itself": lambda: path.symlink_to(path.name),
        "a link to /dev/zero": lambda: path.symlink_to("/dev/zero"),
        "a link to /dev/stdin": lambda: path.symlink_to("/dev/stdin"),
        "a link outside": lambda: path.symlink_to("/etc/passwd"),
        "256 MiB of nothing": lambda: _sparse(path, 2**28 + 1),
    }
    name = draw.choice([*kinds])
    remove(path)
    kinds[name]()
    return name


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# ----------------------------------------------------------------------- bytes and lines


def _bytes(content: bytes, draw: Draw) -> bytes:
    """Cut, flipped, doubled, zeroed, with a huge number inside."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 3, 20])):
        at = draw.randrange(len(changed) + 1)
        # What is decisive mostly stands at the beginning or the end.
        at = draw.choice([at, min(at, draw.randrange(64)), max(0, len(changed) - at % 64)])
        kind = draw.randrange(6)
        if kind == 0:
            del changed[at:]
        elif kind == 1 and at < len(changed):
            changed[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            changed[at : at + 4] = draw.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
        elif kind == 3:
            changed[at:at] = changed[at : at + draw.randrange(1, 200)]
        elif kind == 4:
            del changed[at : at + draw.randrange(1, 50)]
        else:
            changed[at:at] = draw.randbytes(draw.randrange(1, 16))
    return bytes(changed)


def _text(content: bytes, draw: Draw, suffix: str) -> bytes:
    """Another line, a line changed or left out, other line ends, another encoding."""
    if draw.random() < 0.15:
        return _bytes(content, draw)
    if draw.random() < 0.15:
        marks = [b"\xef\xbb\xbf" + content, b"\xff\xfe" + content, content + b"\xff\xfe\xfd"]
        return draw.choice([*marks, content.replace(b"\n", b"\r\n"), content * 3])
    lines = content.decode(errors="replace").split("\n")
    at = draw.randrange(len(lines))
    words = lines[at].split(" ")
    word = draw.randrange(len(words))
    strange = str(draw.choice([*NAMES, *NUMBERS, *TEXTS, *LINES]))
    kind = draw.randrange(6)
    if kind == 0:
        lines.insert(at, strange)
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines[at] = strange
    elif kind == 3:
        lines.insert(at, lines[at])
    elif kind == 4:
        cut = draw.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:cut] + strange + lines[at][cut:]
    else:
        words[word] = strange
        lines[at] = " ".join(words)
    return "\n".join(lines).encode(errors="surrogatepass")


# ------------------------------------------------------------------------- JSON and YAML


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a JSON value, but of itself."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def _strange(draw: Draw, instead_of: Any = None) -> Any:
    """Mostly of the kind that stood there: another kind is refused by the first who looks."""
    kinds = [NAMES + TEXTS, NUMBERS, OTHERS]
    likely = [kind for kind in kinds if isinstance(instead_of, str) == isinstance(kind[0], str)]
    return draw.choice(draw.choice(kinds + 2 * likely))


def _structure(content: bytes, draw: Draw, suffix: str) -> bytes:
    """One value replaced, removed, added or moved; sometimes only text."""
    if draw.random() < 0.2:
        return _text(content, draw, suffix)
    text = content.decode()
    if suffix == ".jsonl":
        lines = text.splitlines()
        at = draw.randrange(len(lines))
        lines[at] = _dumped(_changed(json.loads(lines[at]), draw), ".json")
        return "\n".join([*lines, ""]).encode(errors="surrogatepass")
    loaded = json.loads(text) if suffix == ".json" else yaml.safe_load(text)
    return _dumped(_changed(loaded, draw), suffix).encode(errors="surrogatepass")


def _dumped(value: Any, suffix: str) -> str:
    if suffix == ".json":
        return json.dumps(value, ensure_ascii=False)
    try:
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    except (ValueError, RecursionError):  # a number of too many digits, or nested too deep
        return json.dumps(str(value)[:100])


def _changed(value: Any, draw: Draw) -> Any:
    found = [place for place in places(value)] if isinstance(value, dict | list) else []
    if not found or draw.random() < 0.05:
        return _strange(draw, value)
    # Deep in a matrix one place is like another.
    *path, key = draw.choice([place for place in found if len(place) < 6] or found)
    inner = value
    for step in path:
        inner = inner[step]
    kind = draw.randrange(8)
    if kind == 0:
        del inner[key]
    elif kind == 1 and isinstance(inner, dict):
        inner[str(draw.choice([*NAMES, *TEXTS]))] = inner.pop(key)
    elif kind == 2:
        for _ in range(draw.choice([3, 45, 200])):
            inner[key] = {"x": inner[key]} if draw.random() < 0.5 else [inner[key]]
    elif kind == 3 and isinstance(inner, dict):
        inner["further"] = _strange(draw)
    elif kind == 4 and isinstance(inner[key], list):
        inner[key] = inner[key] * draw.choice([0, 2, 50])
    else:
        inner[key] = _strange(draw, inner[key])
    return value


# --------------------------------------------------------------------------------- archives


def _archive(content: bytes, draw: Draw, suffix: str) -> bytes:
    """Raw damage, or packed anew with a member that is another, or that no one should unpack."""
    if draw.random() < 0.35:
        return _bytes(content, draw)
    try:
        return _packed_anew(content, draw)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError):
        return _bytes(content, draw)


def _packed_anew(content: bytes, draw: Draw) -> bytes:
    stream = io.BytesIO()
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
            members = [(info, old.read(info)) for info in old.infolist() if not info.is_dir()]
            at = draw.randrange(len(members))
            # PyTorch's files say nothing by a further member, and much by their pickle.
            at = next((i for i, (m, _) in enumerate(members) if _is_pickle(m, draw)), at)
            for number, (info, data) in enumerate(members):
                if number != at:
                    new.writestr(info, data)
                    continue
                for name, inner in _member(info.filename, data, draw):
                    compression = draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
                    entry = zipfile.ZipInfo(name.replace("\0", "0") or "x")
                    entry.external_attr = draw.choice([0o644, 0o120777, 0o20644]) << 16
                    new.writestr(entry, inner, compression)
        return stream.getvalue()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=stream, mode=draw.choice(["w", "w:gz", "w:bz2", "w:xz"])) as new,
    ):
        files = [(m.name, old.extractfile(m).read()) for m in old if m.isreg()]
        at = draw.randrange(len(files))
        for number, (name, data) in enumerate(files):
            for given, inner in _member(name, data, draw) if number == at else [(name, data)]:
                info = tarfile.TarInfo(given)
                info.size = len(inner)
                if number == at and draw.random() < 0.2:
                    info.type = draw.choice(
                        [*(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)]
                    )
                    info.linkname, info.size = draw.choice(["../../precious", "/etc/passwd"]), 0
                new.addfile(info, io.BytesIO(inner))
    return stream.getvalue()


def _is_pickle(member: zipfile.ZipInfo, draw: Draw) -> bool:
    return member.filename.endswith("data.pkl") and draw.random() < 0.7


def _member(name: str, data: bytes, draw: Draw) -> list[tuple[str, bytes]]:
    """What stands in a member's place: none, two, another content, another name."""
    kind = draw.randrange(6)
    if kind == 0:
        return []
    if kind == 1:
        return [(name, data), (name, data)]
    if kind == 2:
        return [(draw.choice(NAMES), data), (name, data)]
    suffix = Path(name).suffix
    if suffix in LISTS and data.isascii():
        return [(name, _text(data, draw, suffix))]
    return [(name, _bytes(data, draw))]
