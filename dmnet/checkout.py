"""Which code is here: a hash of its files, and the commit that they are of.

The files are read and hashed by ourselves and compared with the commit's tree, so that no setting
of git (diff.*, core.autocrlf, filters, excludes, the index, the locale) has a say. The commit is
taken from the repository of this checkout only: one that merely lies around it, or that GIT_DIR
names, is a stranger's.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dmnet.files import sha256_bytes

ROOT = Path(__file__).resolve().parent.parent
CODE = ("dmnet", "pipeline", "params", "Snakefile")
COMPUTES = b"dmnet/"  # what numbers are made by; the rest decides what is made, and lists it
OURS = b"dmnet/provenance.py"  # a repository that does not track this is not the project's
NO_CODE = re.compile(rb"^\.|~$|\.(pyc|tmp|bak|orig|rej|swp)$|^__pycache__$")
READ_UP_TO = 1 << 26  # bytes; of a larger file only the size is looked at
SECONDS = 60  # for git to answer
CLONE = "clone the project with git, instead of unpacking or copying its files"


def code_version(root: Path = ROOT, package: bool = False) -> dict[str, Any]:
    """The code in `root` now, JSON-ready, without names of users or places.

    package: of the model package only, for what colleagues share: that something else is committed
    or changed must not make two files of one measurement that they made twice.

    commit        full hash; of the package the last commit that changed it; None where there is
                  none to be had
    reason        why not, and what to do; None with a commit
    modified      whether code or params differ from the commit's; files not added to git count
    diff_sha256   of these differences, None without any: equal for equal changes, which it hides
    sha256        of the model package's files, whatever the commit
    changed       False; `code_ended` (dmnet/provenance.py) says otherwise
    """
    code = CODE[:1] if package else CODE
    files = _files(root, code)
    record: dict[str, Any] = {
        "commit": None,
        "modified": None,
        "diff_sha256": None,
        "reason": None,
        "sha256": _digest({path: file.content for path, file in files.items()}, COMPUTES),
        "changed": False,
    }
    try:
        beside = [os.fsdecode(path) for path in files if b"/" not in path]
        commit, tree = _commit(root, [*code, *beside])
        if package:
            commit = _git(root, "rev-list", "-1", commit, "--", *code).decode().strip()
    except _UnknownCommitError as error:
        return {**record, "reason": str(error)}
    changes = {
        path: files[path].content if path in files else "deleted"
        for path in {*files, *tree}
        if path not in files or tree.get(path) not in files[path].blobs
    }
    digest = _digest(changes) if changes else None
    return {**record, "commit": commit, "modified": bool(changes), "diff_sha256": digest}


def computing_code(root: Path = ROOT) -> str:
    """`sha256` of `code_version`, quickly: files that were not touched are not read again."""
    files = _files(root, CODE[:1])
    return _digest({path: file.content for path, file in files.items()}, COMPUTES)


def is_package_of(commit: str, root: Path = ROOT) -> bool | None:
    """Whether the model package in `root` is this commit's; None where the commit is not known."""
    try:
        tree = _tree(root, commit, CODE[:1])
    except _UnknownCommitError:
        return None
    files = _files(root, CODE[:1])
    return files.keys() == tree.keys() and all(tree[path] in files[path].blobs for path in files)


# ------------------------------------------------------------------------------------ files


class _File(NamedTuple):
    content: str  # SHA-256 with the line ends of Unix
    blobs: frozenset[bytes]  # the names that git may have for it


def _files(root: Path, code: Sequence[str]) -> dict[bytes, _File]:
    """Path in the checkout -> what stands there, of this code, whether git knows it or not.

    Modules beside the packages count: `python -m` imports them before any library.
    """
    files: dict[bytes, _File] = {}
    base = os.fsencode(root)
    names = [os.fsencode(name) for name in code]
    names += [name for name in os.listdir(base) if name.endswith((b".py", b".so"))]
    # With the folders that each lies in, against links that lead in a circle.
    todo: list[tuple[bytes, frozenset[tuple[int, int]]]] = [(name, frozenset()) for name in names]
    while todo:
        path, within = todo.pop()
        if not _is_code(path):
            continue
        full = os.path.join(base, path)
        try:
            status = os.stat(full)
            if stat.S_ISREG(status.st_mode):
                time = (status.st_mtime_ns, status.st_ctime_ns)
                files[path] = _read(full, status.st_size, status.st_ino, time)
            elif stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) not in within:
                inside = within | {(status.st_dev, status.st_ino)}
                todo += [(path + b"/" + name, inside) for name in os.listdir(full)]
        except FileNotFoundError:
            pass  # deleted, which the commit's tree tells
        except OSError as error:
            files[path] = _File(f"unreadable: {error.errno}", frozenset())
    return files


def _is_code(path: bytes) -> bool:
    return not any(map(NO_CODE.search, path.split(b"/")))


@cache
def _read(path: bytes, size: int, inode: int, times: tuple[int, int]) -> _File:
    """Remembered until the file is touched."""
    if size > READ_UP_TO:
        return _File(f"{size} bytes", frozenset())
    with open(path, "rb") as stream:
        content = stream.read()
    # A checkout may have been given Windows' line ends, which mean the same to Python and YAML.
    plain = content if b"\0" in content else content.replace(b"\r\n", b"\n")
    forms = {content, plain}
    blobs = [b"blob %d\0" % len(form) + form for form in forms]
    names = {hashlib.sha1(blob, usedforsecurity=False).hexdigest().encode() for blob in blobs}
    names |= {sha256_bytes(blob).encode() for blob in blobs}  # of repositories in that format
    return _File(sha256_bytes(plain), frozenset(names))


def _digest(contents: dict[bytes, str], below: bytes = b"") -> str:
    lines = (
        path + b"\0" + content.encode() + b"\n"
        for path, content in sorted(contents.items())
        if path.startswith(below)
    )
    return sha256_bytes(b"".join(lines))


# -------------------------------------------------------------------------------------- git


class _UnknownCommitError(Exception):
    """Why, and what to do, in one line that names no place."""


def _commit(root: Path, paths: list[str]) -> tuple[str, dict[bytes, bytes]]:
    """The commit of `root` and its tree, of these paths: path -> blob.

    Raises _UnknownCommitError.
    """
    answer = _git(root, "rev-parse", "--show-toplevel", "HEAD").rstrip(b"\n")
    top, _, commit = answer.rpartition(b"\n")
    try:
        own = os.path.samefile(top, root)
    except OSError:
        own = False
    if not own:
        raise _UnknownCommitError(f"the code lies inside another git repository; {CLONE}")
    tree = _tree(root, commit.decode(), paths)
    if OURS not in tree:
        raise _UnknownCommitError(f"the git repository here does not track the code; {CLONE}")
    return commit.decode(), tree


def _tree(root: Path, commit: str, paths: Sequence[str]) -> dict[bytes, bytes]:
    """Path -> blob of the commit's code. Raises _UnknownCommitError."""
    form = ("ls-tree", "-r", "-z", "--full-tree", "--end-of-options")
    listed = _git(root, *form, commit, "--", *paths)
    tree = {}
    for line in filter(None, listed.split(b"\0")):
        about, _, path = line.partition(b"\t")
        if _is_code(path):
            tree[path] = about.split()[2]
    return tree


def _git_environment() -> dict[str, str]:
    """This process's for git, which then takes the repository from the folder it is called in.

    What says where configuration and programs lie is kept; what names a repository, an index,
    objects or replacements is not.
    """
    kept = ("GIT_CONFIG", "GIT_EXEC_PATH", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(kept)
    }
    return environment | {"LC_ALL": "C", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"}


def _git(root: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            env=_git_environment(),
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
        ).stdout
    except subprocess.CalledProcessError as error:
        raise _UnknownCommitError(_reason(os.fsdecode(error.stderr))) from None
    except subprocess.TimeoutExpired:
        text = f"git gave no answer for {SECONDS} s; look whether the disk answers"
        raise _UnknownCommitError(text) from None
    except OSError:
        raise _UnknownCommitError("git cannot be started; install it") from None


def _reason(answer: str) -> str:
    """Git's own words, of paths only the last part, and the remedy."""
    lines = [line for line in answer.splitlines() if line.startswith(("fatal: ", "error: "))]
    words = (lines or [*answer.splitlines(), "git failed"])[0].removeprefix("fatal: ")
    words = re.sub(r"at '[^']*'|(?<!\S)'/[^']*'", "", words)  # this folder itself
    words = " ".join(re.sub(r"/[^\s'\"]*/", "", words).split())[:200]
    if "dubious ownership" in words or "unsafe repository" in words:
        remedy = 'run git config --global --add safe.directory "$PWD" in the checkout\'s folder'
    elif "not a git repository" in words:
        remedy = CLONE
    else:
        remedy = "git log in the checkout's folder says the same; mend what it names"
    return f"git: {words}; {remedy}"
